"""Colours, markers and dashes that tell the lines of a plot apart, for the colour-blind too."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

from core.config.errors import ConfigError

MOST_LINES = 20
FEW_LINES = 7  # so many have a colour of their own; single runs are drawn too
# Okabe and Ito 2008, "Color universal design": distinct with every kind of colour blindness. Their yellow is left out,
# because it is too pale on white; their black is the colour of the style's text.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "text")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":")


def styles(n: int) -> list[dict[str, Any]]:
    """Return a different combination of colour, marker and dash for each of n lines.

    Raises:
        ConfigError: There are more than ``MOST_LINES`` lines.
    """
    if n > MOST_LINES:
        raise ConfigError(
            f"cannot plot {n} groups; at most {MOST_LINES} lines can be told apart. Select fewer runs with --where."
        )
    from matplotlib import rcParams

    colours, markers = islice(cycle(COLOURS), n), islice(cycle(MARKERS), n)
    return [
        {
            "color": rcParams["text.color"] if colour == "text" else colour,
            "marker": marker,
            "linestyle": DASHES[i // len(COLOURS)],
        }
        for i, (colour, marker) in enumerate(zip(colours, markers, strict=True))
    ]
