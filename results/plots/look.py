"""The size and the style of a plot, as the user asks for them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from attrs import frozen

from core.config.errors import ConfigError, unknown_name

SMALLEST, LARGEST = 2.0, 50.0  # inches


@frozen
class Look:
    """How a plot looks.

    Attributes:
        size: Width and height of the whole figure in inches; None: it follows the content.
        style: One of Matplotlib's styles by name.
        bare: Leave out the legend and the caption, because a page shows them as text.
    """

    size: tuple[float, float] | None = None
    style: str | None = None
    bare: bool = False

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Use the style while the block draws and saves.

        Raises:
            ConfigError: Matplotlib has no style of this name; the nearest one is suggested.
        """
        if self.style is None:
            yield
            return
        from matplotlib import style

        # style.context would also take a path or an address, and must not fetch one
        if self.style != "default" and self.style not in style.library:
            raise unknown_name("style", self.style, ["default", *style.available])
        with style.context(self.style):
            yield


DEFAULT = Look()


def parse_size(text: str) -> tuple[float, float]:
    """Return width and height in inches from text such as "7,4.5".

    Raises:
        ConfigError: The text is not two numbers of a usable size.
    """
    try:
        width, height = (float(part) for part in text.split(","))
    except ValueError:
        width = height = math.nan
    if not all(SMALLEST <= one <= LARGEST for one in (width, height)):
        raise ConfigError(
            f"--size: got {text!r}; accepted: width and height in inches, each {SMALLEST:g} to {LARGEST:g}, such as "
            "7,4.5."
        )
    return width, height
