"""Shared by all plots: panels, text, and the output file."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.config.errors import ConfigError
from core.runs.files import write_atomic
from results.provenance import Provenance
from results.text.labels import printable, shortened
from results.text.private import public

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
PANEL = (5.6, 3.8)  # inches
WIDE_PANEL = (7.2, 4.4)  # for many lines
DPI = 150
MOST_TEXT = 4000  # characters; the longest captions have some hundred


def new_figure(
    n_panels: int, *, n_columns: int = 2, panel: tuple[float, float] = PANEL, size: tuple[float, float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels in rows. It opens no window and leaves pyplot's global state alone.

    Args:
        n_panels: Number of panels.
        n_columns: Maximum number of panels in a row.
        panel: Width and height of a panel, in inches.
        size: Width and height of the whole figure, in inches; None: as the panels need.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(n_panels, n_columns)
    rows = -(-n_panels // columns)
    figure = Figure(figsize=size or (panel[0] * columns, panel[1] * rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(n_panels)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(visible=True, alpha=0.25, linewidth=0.6)
    return figure, axes


def plain(text: str) -> str:
    """Return text that matplotlib shows unchanged.

    Dollar signs would start a formula. A legend entry that starts with an underscore would be hidden. A text beyond
    ``MOST_TEXT`` characters is cut: a name of 100,000, in a file of somebody else, would take minutes to draw.
    """
    shown = printable(public(shortened(text, MOST_TEXT))).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def save(figure: Figure, path: Path, made_by: Provenance) -> None:
    """Write a figure as PNG, SVG or PDF, with its provenance in the file's metadata.

    Raises:
        ConfigError: The suffix is not one of ``SUFFIXES``, or the file cannot be written.
    """
    check_suffix(path)
    content = render(figure, path.suffix, "\n".join(made_by.lines()))
    try:
        write_atomic(path, content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error}).") from None


def check_suffix(path: Path) -> None:
    """Raise ConfigError unless the suffix is one of ``SUFFIXES``."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: got the suffix {path.suffix!r}; accepted: {', '.join(SUFFIXES)}.")


def render(figure: Figure, suffix: str, description: str, *, font: str = "none", transparent: bool = False) -> bytes:
    """Return the bytes of the image file.

    Args:
        figure: The figure.
        suffix: One of ``SUFFIXES``.
        description: Stored in the file's metadata.
        font: Text in an SVG: "none" keeps it as text, in a font that the reader may lack; "path" draws it.
        transparent: Leave out the white background.
    """
    import matplotlib

    key = {".png": "Description", ".svg": "Description", ".pdf": "Subject"}[suffix]
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": font, "pdf.fonttype": 42}), quiet_fonts():
        figure.savefig(buffer, format=suffix[1:], dpi=DPI, metadata={key: description}, transparent=transparent)
    return buffer.getvalue()


@contextlib.contextmanager
def quiet_fonts() -> Iterator[None]:
    """Do not warn of characters that the font lacks while the block runs: they are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield
