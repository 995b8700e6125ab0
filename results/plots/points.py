"""Plot measures against a config field or the number of sampler steps: mean over runs with error bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from core.config.errors import ConfigError, unknown_name
from core.utils.results import ResultMetadata
from results.groups import SEED, Group, described, name_groups
from results.over_runs import OverRuns
from results.plots.end_labels import END_WIDTH, add_end_label
from results.plots.figure import PANEL, WIDE_PANEL, new_figure, plain
from results.plots.line_styles import FEW_LINES, styles
from results.plots.look import DEFAULT, Look
from results.plots.room import LINE_SPACING, finish, wrapped
from results.plots.ticks import short_number
from results.text.labels import count, is_time, measure_labels, printable, shortened, spell
from results.text.short_labels import DERIVED, ShortLabels, distinguishing_fields, short_labels

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


def plot_field(
    groups: Sequence[Group],
    field: str,
    measures: Mapping[ResultMetadata, str],
    *,
    level: float = 0.95,
    look: Look = DEFAULT,
    notes: Sequence[str] = (),
) -> Figure:
    """Plot measures against a config field, one panel per measure.

    Groups that differ only in this field are one line. If every group has its own value of the field, all of them are
    one line, and the caption names the other fields in which they differ.

    Args:
        groups: Groups of runs; each is one point of a line, the mean over its runs.
        field: Name of the config field on the horizontal axis.
        measures: The measures, with the label of each panel.
        level: Coverage of the error bars, Student's t interval over runs.
        look: Size and style.
        notes: Sentences for the end of the caption.

    Raises:
        ConfigError: No run has the field, or the field is the seed. Means are taken over seeds.
    """
    known = {name for group in groups for name in group.config}
    if field == SEED:
        raise ConfigError(
            "cannot plot against seed: the mean and its error are taken over seeds. Choose another field."
        )
    if field not in known:
        raise unknown_name("config field", field, known)
    groups = [group for group in groups if field in group.config]
    others = [_other_fields(group, field) for group in groups]
    lines = list(dict.fromkeys(map(_as_key, others)))
    labels = short_labels([dict(line) for line in lines], END_WIDTH)
    if len({spell(group.config[field]) for group in groups}) == len(groups):
        differing = tuple(distinguishing_fields(others))
        lines, labels = [], ShortLabels(("all runs",), not_shown=differing)

    def points(metadata: ResultMetadata) -> Lines:
        found: Lines = {}
        for group, fields in zip(groups, others, strict=True):
            over = group.over_runs(metadata, level)
            if over.summary.n:
                label = labels.names[lines.index(_as_key(fields)) if lines else 0]
                found.setdefault(label, []).append(Point(group.config[field], over))
        return found

    panels = {label: points(metadata) for metadata, label in measures.items()}
    return _plot(panels, field, measures, labels, level, look, notes)


def _other_fields(group: Group, field: str) -> dict[str, Any]:
    fields = described(group.runs[0], group.split_by)
    return {name: value for name, value in fields.items() if name != field and name not in DERIVED}


def _as_key(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, spell(value)) for name, value in fields.items()))


def plot_steps(
    groups: Sequence[Group],
    measures: Mapping[ResultMetadata, str],
    *,
    level: float = 0.95,
    look: Look = DEFAULT,
    notes: Sequence[str] = (),
    names: ShortLabels | None = None,
) -> Figure:
    """Plot measures against the number of sampler steps, one panel per measure.

    Args:
        groups: The groups; each is one line.
        measures: The measures, with their labels; those without a number of sampler steps are left out.
        level: Coverage of the error bars, Student's t interval over runs.
        look: Size and style.
        notes: Sentences for the end of the caption.
        names: The short labels of the groups; None: those that tell these groups apart.

    Raises:
        ConfigError: No measure has a number of sampler steps.
    """
    families: dict[ResultMetadata, list[ResultMetadata]] = {}
    for metadata in measures:
        if metadata.n_steps is not None:
            families.setdefault(_without_steps(metadata), []).append(metadata)
    if not families:
        raise ConfigError("no measure has a number of sampler steps. Evaluate with: pyml-eval RUN --n-steps K ...")
    labels, names = measure_labels(families), names or name_groups(groups, END_WIDTH)
    panels: dict[str, Lines] = {}
    for family, members in families.items():
        lines = panels.setdefault(labels[family], {})
        for i, group in enumerate(groups):
            overs = [(metadata.n_steps, group.over_runs(metadata, level)) for metadata in members]
            points = [Point(n_steps, over) for n_steps, over in overs if over.summary.n]
            if points:
                lines[names.names[i]] = points
    return _plot(panels, "sampler steps", labels, names, level, look, notes)


def _without_steps(metadata: ResultMetadata) -> ResultMetadata:
    import attrs

    return attrs.evolve(metadata, n_steps=None)


def _plot(
    panels: Mapping[str, Lines],
    x_label: str,
    measures: Mapping[ResultMetadata, str],
    labels: ShortLabels,
    level: float,
    look: Look,
    notes: Sequence[str],
) -> Figure:
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
        apart = min(MOST_APART, 48 / len(lines))
        if panel.get_autoscalex_on():  # room for what is nudged
            panel.margins(x=0.05 + apart * len(lines) / 2 / 300)
        for i, (name, points) in enumerate(lines.items()):
            legend = entries[name] if same_n else f"{entries[name]} (n = {_n_text(points)} per point)"
            nudge = apart * (i - (len(lines) - 1) / 2)
            _draw(panel, points, place, plain(legend), style_of[name], nudge)
            if len(lines) > 1 and all(len(points) > 1 and _is_number(points[0].x) for points in lines.values()):
                last = max(points, key=lambda point: place(point.x))
                colour = style_of[name]["color"]
                add_end_label(panel, [place(last.x)], [last.over.summary.mean], plain(name), colour, nudge)
        panel.set_xlabel(wrapped(plain(x_label), PANEL[0] - 1, LABEL_PT))
        panel.set_ylabel(_y_label(label, units[label]), linespacing=LINE_SPACING)
    notes = list(filter(None, [points_caption(level), same_n, words_legend, labels.note(), *notes]))
    finish(figure, axes, plain(" ".join(notes)), look)
    return figure


def points_caption(level: float) -> str:
    """Return the caption, which explains the points and bars."""
    return (
        f"Point: mean over runs that differ only in seed. Bar: {100 * level:g}% Student's t interval over runs. "
        "Hollow: the error over runs is unknown, because there is a single run or all runs are equal."
    )


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
