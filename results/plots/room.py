"""Room for everything: the legend and the caption below the panels, sized so that no text is cut off."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.config.errors import ConfigError
from results.plots.end_labels import spread_end_labels
from results.plots.figure import quiet_fonts
from results.plots.look import DEFAULT, Look
from results.plots.ticks import readable_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND_PT, CAPTION_PT = 8.5, 8.0
LINE_SPACING = 1.35  # of axis labels, so that an underscore does not touch the next line
GAP = 0.08  # inches
HANDLE = 0.5  # inches: the line before a legend entry, with its distances
LEAST_PANEL = (1.6, 1.1)  # inches of a panel, with its ticks and labels


def finish(figure: Figure, axes: Sequence[Axes], caption: str, look: Look = DEFAULT) -> None:
    """Put one legend and the caption below the panels, and make sure that every text has room.

    Args:
        figure: The figure. It grows by the height of the legend and the caption.
        axes: Its panels.
        caption: Explains the marks.
        look: If it has a size, the figure keeps it, so the panels shrink.

    Raises:
        ConfigError: The panels would be too small.
    """
    if not look.bare:
        _add_below(figure, axes, caption, is_fixed=look.size is not None)
    with quiet_fonts():
        figure.draw_without_rendering()
        readable_ticks(figure, axes)
        figure.draw_without_rendering()
        for one in axes:
            spread_end_labels(one)
    figure.set_layout_engine("none")  # all is placed: saving need not do it again


def _add_below(figure: Figure, axes: Sequence[Axes], caption: str, *, is_fixed: bool) -> None:
    """Add the legend and the caption, and let the figure grow by their height unless it is fixed."""
    entries: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    with quiet_fonts():
        width, height = figure.get_size_inches()
        text = figure.text(0, 0, wrapped(caption, width - 4 * GAP, CAPTION_PT), fontsize=CAPTION_PT, va="bottom")
        text.set_alpha(0.8)
        legend = _legend(figure, entries, width) if entries else None
        text_height = _height(figure, text)
        below = text_height + 2 * GAP + (_height(figure, legend) + GAP if legend else 0.0)
        if is_fixed:
            _check_room(figure, axes, height - below)
        else:
            height += below
            figure.set_size_inches(width, height)
        text.set_position((2 * GAP / width, GAP / height))
        if legend:
            legend.set_bbox_to_anchor((0.5, (text_height + 2 * GAP) / height), transform=figure.transFigure)
        engine: Any = figure.get_layout_engine()
        engine.set(rect=(0, below / height, 1, 1 - below / height))


def wrapped(text: str, inches: float, points: float) -> str:
    """Return text with line breaks, so that no line is wider than ``inches`` in the default font.

    Args:
        text: The text; a $ is written as in ``plain``.
        inches: Maximum width.
        points: Size of the font.
    """
    n_characters = max(8, int(inches * 72 / (0.45 * points)))
    while True:
        lines = textwrap.wrap(text, n_characters) or [""]
        if n_characters <= 8 or max(text_width(line, points) for line in lines) <= inches:
            return "\n".join(lines)
        n_characters = int(n_characters * 0.95)


def text_width(text: str, points: float) -> float:
    """Return the width of one line of text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with quiet_fonts():
        width, _, _ = text_to_path.get_text_width_height_descent(
            text.replace(r"\$", "$"), FontProperties(size=points), ismath=False
        )
    return float(width) / 72


def _legend(figure: Figure, entries: dict[str, Any], width: float) -> Any:
    room = width - 2 * GAP
    labels = [wrapped(label, room - HANDLE, LEGEND_PT) for label in entries]
    widest = max(text_width(line, LEGEND_PT) for label in labels for line in label.split("\n"))
    return figure.legend(
        entries.values(),
        labels,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=max(1, min(len(labels), 4, int(room / (widest + HANDLE + 0.15)))),
        frameon=False,
        fontsize=LEGEND_PT,
        borderaxespad=0.0,
        borderpad=0.0,
        handlelength=2.4,
        columnspacing=1.2,
    )


def _height(figure: Figure, artist: Any) -> float:
    """Return the height of a text or a legend in inches."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined] # the Agg canvas of new_figure has one
    return float(artist.get_window_extent(renderer).height) / figure.dpi


def _check_room(figure: Figure, axes: Sequence[Axes], height: float) -> None:
    grid: Any = axes[0].get_subplotspec()
    rows, columns, *_ = grid.get_geometry()
    width, whole = figure.get_size_inches()
    if height / rows < LEAST_PANEL[1] or width / columns < LEAST_PANEL[0]:
        needed = (max(width, columns * LEAST_PANEL[0]), whole - height + rows * LEAST_PANEL[1])
        raise ConfigError(
            f"--size {width:g},{whole:g}: too small for {len(axes)} panel{'s' * (len(axes) > 1)}, the legend and the "
            f"caption. Try: --size {needed[0]:.1f},{needed[1] + 0.1:.1f}, or select fewer runs with --where."
        )
