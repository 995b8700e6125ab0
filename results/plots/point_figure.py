"""A figure of points with error bars: one panel per measure, one line per group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from core.config.errors import ConfigError
from core.utils.results import ResultMetadata
from results.over_runs import OverRuns
from results.plots.end_labels import add_end_label
from results.plots.figure import PANEL, WIDE_PANEL, new_figure, plain
from results.plots.line_styles import FEW_LINES, styles
from results.plots.look import Look
from results.plots.room import LINE_SPACING, finish, wrapped
from results.plots.ticks import short_number
from results.text.labels import count, is_time, printable, shortened, spell
from results.text.short_labels import ShortLabels, short_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TICKS = 8  # with at most this many values, each value gets a tick
LABEL_PT = 10  # of an axis
MOST_APART = 4.0  # points (1/72 inch) between the error bars of two lines
LONGEST_WORD = 16  # characters of a tick label


@frozen
class Point:
    """The summary of a measure for one group, at one position on the horizontal axis."""

    x: Any
    over: OverRuns


Lines = dict[str, list[Point]]
MOST_NAMED = 5  # points in a caption


def plot_points(
    panels: Mapping[str, Lines],
    x_label: str,
    measures: Mapping[ResultMetadata, str],
    labels: ShortLabels,
    level: float,
    look: Look,
    notes: Sequence[str],
) -> Figure:
    """Return a figure with one panel for each measure and one line for each label.

    Args:
        panels: The lines of each panel, by the label of its measure; panels without a line are left out.
        x_label: Label of the horizontal axis.
        measures: The measures, with their labels.
        labels: The short labels of the lines.
        level: Coverage of the error bars.
        look: Size and style.
        notes: Sentences for the end of the caption.

    Raises:
        ConfigError: There is no line.
    """
    entries = {name: labels.entry(i) for i, name in enumerate(labels.names)}
    names = [name for name in entries if any(name in lines for lines in panels.values())]
    if not names:
        raise ConfigError("no finished run has a result of these measures.")
    panels = {label: lines for label, lines in panels.items() if lines}
    style_of = dict(zip(entries, styles(len(entries)), strict=True))
    many = len(names) > FEW_LINES
    same_n = _same_n(panels) if many else ""
    figure, axes = new_figure(len(panels), panel=WIDE_PANEL if many else PANEL, size=look.size)
    units = {label: metadata for metadata, label in measures.items()}
    words, words_legend = _word_labels(
        [point.x for lines in panels.values() for one in lines.values() for point in one]
    )
    for (label, lines), panel in zip(panels.items(), axes, strict=True):
        place = _axis([point.x for points in lines.values() for point in points], panel, words)
        legends = {
            name: entries[name] if same_n else f"{entries[name]} (n = {_n_text(lines[name])} per point)"
            for name in lines
        }
        _draw_lines(panel, lines, place, legends, style_of)
        panel.set_xlabel(wrapped(plain(x_label), PANEL[0] - 1, LABEL_PT))
        panel.set_ylabel(_y_label(label, units[label]), linespacing=LINE_SPACING)
    not_drawn = _not_finite(panels, x_label)
    notes = list(filter(None, [points_caption(level), same_n, words_legend, labels.note(), not_drawn, *notes]))
    finish(figure, axes, plain(" ".join(notes)), look)
    return figure


def _draw_lines(
    panel: Axes,
    lines: Lines,
    place: Callable[[Any], float],
    legends: Mapping[str, str],
    style_of: Mapping[str, dict[str, Any]],
) -> None:
    """Draw the lines of one panel, each nudged aside so that no bar hides another, with their names at their ends.

    Args:
        panel: The panel.
        lines: The points of each line, by its short label.
        place: From a value to its position on the horizontal axis.
        legends: The entry of each line in the legend.
        style_of: Colour, marker and dashes of each line.
    """
    apart = min(MOST_APART, 48 / len(lines))
    if panel.get_autoscalex_on():  # room for what is nudged
        panel.margins(x=0.05 + apart * len(lines) / 2 / 300)
    have_ends = len(lines) > 1 and all(len(points) > 1 and _is_number(points[0].x) for points in lines.values())
    for i, (name, points) in enumerate(lines.items()):
        nudge = apart * (i - (len(lines) - 1) / 2)
        _draw(panel, points, place, plain(legends[name]), style_of[name], nudge)
        if have_ends:
            last = max(points, key=lambda point: place(point.x))
            colour = style_of[name]["color"]
            add_end_label(panel, [place(last.x)], [last.over.summary.mean], plain(name), colour, nudge)


def points_caption(level: float) -> str:
    """Return the caption, which explains the points and bars."""
    return (
        f"Point: mean over runs that differ only in seed. Bar: {100 * level:g}% Student's t interval over runs. "
        "Hollow: the error over runs is unknown, because there is a single run or all runs are equal."
    )


def _not_finite(panels: Mapping[str, Lines], x_label: str) -> str:
    """Return a sentence that names the points which are not drawn because their mean is NaN or infinite, or ""."""
    found = [
        f"{label} at {x_label} {spell(point.x)} ({point.over.n_not_finite} of {point.over.summary.n} runs)"
        for label, lines in panels.items()
        for points in lines.values()
        for point in points
        if not math.isfinite(point.over.summary.mean)
    ]
    if not found:
        return ""
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"Not drawn, since results are NaN or infinite: {', '.join(found[:MOST_NAMED])}{more}."


def _n_text(points: Sequence[Point]) -> str:
    """Return "5 runs", or "3 to 5 runs" if the points rest on different numbers of runs."""
    numbers = [point.over.summary.n for point in points]
    return count(numbers[0], "run") if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)} runs"


def _same_n(panels: Mapping[str, Lines]) -> str:
    """Return a sentence with the number of runs if it is the same for all points, else ""."""
    numbers = {_n_text(points) for lines in panels.values() for points in lines.values()}
    return f"Each point: n = {numbers.pop()}." if len(numbers) == 1 else ""


def _y_label(label: str, metadata: ResultMetadata) -> str:
    arrows = {True: " (higher is better)", False: " (lower is better)", None: ""}
    text, arrow = f"{label}{' [s]' if is_time(metadata) else ''}", arrows[metadata.higher_is_better]
    whole = wrapped(plain(text + arrow), PANEL[1] - 0.9, LABEL_PT)
    if "\n" not in whole:
        return whole
    return "\n".join(filter(None, [wrapped(plain(text), PANEL[1] - 0.9, LABEL_PT), arrow.strip()]))


def _word_labels(values: Sequence[Any]) -> tuple[dict[str, str], str]:
    """Return a short label for each value, and a sentence that says what they stand for if they are letters."""
    words = list(dict.fromkeys(map(spell, values)))
    if len(words) == 1:
        return {words[0]: printable(shortened(words[0], LONGEST_WORD))}, ""
    labels = short_labels([{"model": word} for word in words], LONGEST_WORD)
    return dict(zip(words, labels.names, strict=True)), f"{'; '.join(labels.legend)}." if labels.legend else ""


def _axis(values: Sequence[Any], panel: Axes, labels: Mapping[str, str]) -> Callable[[Any], float]:
    """Prepare the horizontal axis and return the function from a value to its position.

    Numbers are on a linear axis, or on a logarithmic one if they are positive and the largest is at least 5 times the
    smallest. Other values are side by side, with these labels.
    """
    if all(map(_is_number, values)):
        numbers = sorted(set(values))
        if numbers[0] > 0 and numbers[-1] >= 5 * numbers[0]:
            panel.set_xscale("log")
        if len(numbers) <= MOST_TICKS:
            places = [float(number) for number in numbers]  # NumPy has no integers beyond 64 bits
            panel.set_xticks(places, [short_number(number) for number in numbers])
            panel.set_xticks([], minor=True)
        return float
    words = list(dict.fromkeys(map(spell, values)))
    panel.set_xticks(range(len(words)), [plain(labels[word]) for word in words])
    panel.set_xlim(-0.5, len(words) - 0.5)
    return lambda value: float(words.index(spell(value)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _draw(
    panel: Axes, points: Sequence[Point], place: Callable[[Any], float], label: str, style: dict[str, Any], nudge: float
) -> None:
    """Draw one line of points.

    Args:
        panel: The panel.
        points: The points.
        place: From a value of the field to its position.
        label: The legend entry.
        style: Colour, marker and dash.
        nudge: Shift to the right in points (1/72 inch), so that error bars of several lines do not overlap.
    """
    from matplotlib.transforms import ScaledTranslation

    points = sorted(points, key=lambda point: place(point.x))
    if any(isinstance(point.x, str) for point in points):
        style = {**style, "linestyle": "none"}  # a line between two words would suggest values in between
    xs = [place(point.x) for point in points]
    summaries = [point.over.summary for point in points]
    apart = panel.transData + ScaledTranslation(nudge / 72, 0, panel.figure.dpi_scale_trans)
    bars = [summary.half_width if math.isfinite(summary.half_width) else 0.0 for summary in summaries]
    panel.errorbar(
        xs, [s.mean for s in summaries], bars, capsize=3, markersize=5, transform=apart, label=label, **style
    )
    lone = [(x, summary.mean) for x, summary in zip(xs, summaries, strict=True) if math.isnan(summary.half_width)]
    if lone:
        hollow = {**style, "linestyle": "none", "markerfacecolor": "white", "markersize": 6, "zorder": 3}
        panel.plot([x for x, _ in lone], [y for _, y in lone], transform=apart, **hollow)
    for x, summary, bar in zip(xs, summaries, bars, strict=True):
        if math.isfinite(summary.mean):
            panel.update_datalim([(x, summary.mean - bar), (x, summary.mean + bar)])
    panel.autoscale_view()
