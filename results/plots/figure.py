"""Shared by all plots: panels, colours for the colour-blind, the legend, the caption and the output file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config.errors import ConfigError
from core.runs.files import write_atomic
from results.provenance import Provenance
from results.text.labels import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
MOST_LINES = 20
# Okabe and Ito 2008, "Color universal design": distinct with every kind of colour blindness. Their yellow is left out,
# because it is too pale on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":")
PANEL = (5.6, 3.8)  # inches
DPI = 150


def new_figure(n_panels: int, *, n_columns: int = 2, panel: tuple[float, float] = PANEL) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels in rows. It opens no window and leaves pyplot's global state alone.

    Args:
        n_panels: Number of panels.
        n_columns: Maximum number of panels in a row.
        panel: Width and height of a panel, in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(n_panels, n_columns)
    rows = -(-n_panels // columns)
    figure = Figure(figsize=(panel[0] * columns, panel[1] * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(n_panels)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(visible=True, alpha=0.25, linewidth=0.6)
    return figure, axes


def styles(n: int) -> list[dict[str, Any]]:
    """Return a different combination of colour, marker and dash for each of n lines.

    Raises:
        ConfigError: There are more than ``MOST_LINES`` lines.
    """
    if n > MOST_LINES:
        raise ConfigError(
            f"cannot plot {n} groups; at most {MOST_LINES} lines can be told apart. Select fewer runs with --where."
        )
    colours, markers = islice(cycle(COLOURS), n), islice(cycle(MARKERS), n)
    return [
        {"color": colour, "marker": marker, "linestyle": DASHES[i // len(COLOURS)]}
        for i, (colour, marker) in enumerate(zip(colours, markers, strict=True))
    ]


def plain(text: str) -> str:
    """Return text that matplotlib shows unchanged.

    Dollar signs would start a formula. A legend entry that starts with an underscore would be hidden.
    """
    shown = printable(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def finish(figure: Figure, axes: Sequence[Axes], caption: str) -> None:
    """Add one legend above the panels, and below them the caption that explains the marks."""
    import textwrap

    entries: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    width = int(figure.get_size_inches()[0] * 15)
    columns = max(1, min(3, width // (max(map(len, entries), default=1) + 8)))
    if entries:
        figure.legend(
            entries.values(), entries.keys(), loc="outside upper center", ncols=columns, frameon=False, fontsize=9
        )
    figure.supxlabel("\n".join(textwrap.wrap(caption, width)), fontsize=8.5, color="#444444")


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


def render(figure: Figure, suffix: str, description: str) -> bytes:
    """Return the bytes of the image file. Text in an SVG stays text, not paths.

    Args:
        figure: The figure.
        suffix: One of ``SUFFIXES``.
        description: Stored in the file's metadata.
    """
    import matplotlib

    key = {".png": "Description", ".svg": "Description", ".pdf": "Subject"}[suffix]
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(buffer, format=suffix[1:], dpi=DPI, metadata={key: description})
    return buffer.getvalue()
