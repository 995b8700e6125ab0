"""Plot measures against a config field or the number of sampler steps: mean over runs with error bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from core.config.errors import ConfigError, unknown_name
from core.utils.results import ResultMetadata
from results.groups import SEED, Group, described
from results.over_runs import OverRuns
from results.plots.figure import finish, new_figure, plain, styles
from results.text.labels import differing, is_time, measure_labels, printable, spell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_TICKS = 8  # with at most this many values, each value gets a tick


@frozen
class Point:
    """The summary of a measure for one group, at one position on the horizontal axis."""

    x: Any
    over: OverRuns


Lines = dict[str, list[Point]]


def plot_field(
    groups: Sequence[Group], field: str, measures: Mapping[ResultMetadata, str], *, level: float = 0.95
) -> Figure:
    """Plot measures against a config field, one panel per measure.

    Groups that differ only in this field are one line.

    Args:
        groups: The groups.
        field: Name of the config field on the horizontal axis.
        measures: The measures, with their labels.
        level: Coverage of the error bars, Student's t interval over runs.

    Args:
        groups: Groups of runs; each is one point of a line, the mean over its runs.
        field: Name of the config field on the horizontal axis.
        measures: The measures, with the label of each panel.
        level: Coverage of the intervals over runs, in (0, 1).

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

    def lines(metadata: ResultMetadata) -> Lines:
        others = [{k: v for k, v in described(group.runs[0]).items() if k != field} for group in groups]
        found: Lines = {}
        for group, label in zip(groups, differing(others), strict=True):
            over = group.over_runs(metadata, level)
            if over.summary.n and field in group.config:
                found.setdefault(printable(label), []).append(Point(group.config[field], over))
        return found

    return _plot({label: lines(metadata) for metadata, label in measures.items()}, field, measures, level)


def plot_steps(groups: Sequence[Group], measures: Mapping[ResultMetadata, str], *, level: float = 0.95) -> Figure:
    """Plot measures against the number of sampler steps, one panel per measure.

    Raises:
        ConfigError: No measure has a number of sampler steps.
    """
    families: dict[ResultMetadata, list[ResultMetadata]] = {}
    for metadata in measures:
        if metadata.n_steps is not None:
            families.setdefault(_without_steps(metadata), []).append(metadata)
    if not families:
        raise ConfigError("no measure has a number of sampler steps. Evaluate with: pyml-eval RUN --n-steps K ...")
    labels = measure_labels(families)
    panels: dict[str, Lines] = {}
    for family, members in families.items():
        lines = panels.setdefault(labels[family], {})
        for group in groups:
            overs = [(metadata.n_steps, group.over_runs(metadata, level)) for metadata in members]
            points = [Point(n_steps, over) for n_steps, over in overs if over.summary.n]
            if points:
                lines[group.label] = points
    directions = {labels[family]: family for family in families}
    return _plot(panels, "sampler steps", {family: label for label, family in directions.items()}, level)


def _without_steps(metadata: ResultMetadata) -> ResultMetadata:
    import attrs

    return attrs.evolve(metadata, n_steps=None)


def _plot(panels: Mapping[str, Lines], x_label: str, measures: Mapping[ResultMetadata, str], level: float) -> Figure:
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    if not names:
        raise ConfigError("no finished run has a result of these measures.")
    style_of = dict(zip(names, styles(len(names)), strict=True))
    figure, axes = new_figure(len(panels))
    units = {label: metadata for metadata, label in measures.items()}
    for (label, lines), panel in zip(panels.items(), axes, strict=True):
        place = _axis([point.x for points in lines.values() for point in points], panel)
        for i, (name, points) in enumerate(lines.items()):
            _draw(panel, points, place, name or "all runs", style_of[name], nudge=i - (len(lines) - 1) / 2)
        panel.set_xlabel(plain(x_label))
        panel.set_ylabel(plain(_y_label(label, units[label])))
    text = (
        f"Point: mean over runs that differ only in seed. Bar: {100 * level:g}% Student's t interval over runs. "
        "Hollow: a single run, so the error over runs is unknown."
    )
    finish(figure, axes, text)
    return figure


def _y_label(label: str, metadata: ResultMetadata) -> str:
    arrows = {True: " (higher is better)", False: " (lower is better)", None: ""}
    return f"{label}{' [s]' if is_time(metadata) else ''}{arrows[metadata.higher_is_better]}"


def _axis(values: Sequence[Any], panel: Axes) -> Callable[[Any], float]:
    """Prepare the horizontal axis and return the function from a value to its position.

    Numbers are on a linear axis, or on a logarithmic one if they are positive and the largest is at least 5 times the
    smallest. Other values are side by side.
    """
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = sorted(set(values))
        if numbers[0] > 0 and numbers[-1] >= 5 * numbers[0]:
            panel.set_xscale("log")
        if len(numbers) <= MOST_TICKS:
            panel.set_xticks(numbers, [spell(number) for number in numbers])
            panel.set_xticks([], minor=True)
        return float
    words = list(dict.fromkeys(map(spell, values)))
    panel.set_xticks(range(len(words)), [plain(word) for word in words])
    panel.set_xlim(-0.5, len(words) - 0.5)
    return lambda value: float(words.index(spell(value)))


def _draw(
    panel: Axes, points: Sequence[Point], place: Callable[[Any], float], name: str, style: dict[str, Any], nudge: float
) -> None:
    """Draw one line of points. ``nudge`` shifts it sideways, so that error bars of several lines do not overlap."""
    from matplotlib.transforms import ScaledTranslation

    points = sorted(points, key=lambda point: place(point.x))
    if any(isinstance(point.x, str) for point in points):
        style = {**style, "linestyle": "none"}  # a line between two words would suggest values in between
    xs = [place(point.x) for point in points]
    summaries = [point.over.summary for point in points]
    apart = panel.transData + ScaledTranslation(nudge * 4 / 72, 0, panel.figure.dpi_scale_trans)
    numbers = [summary.n for summary in summaries]
    n = f"{min(numbers)}" if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)}"
    text = plain(f"{name} (n = {n} run{'s' * (max(numbers) > 1)} per point)")
    bars = [summary.half_width if summary.n > 1 else 0.0 for summary in summaries]
    panel.errorbar(xs, [s.mean for s in summaries], bars, capsize=3, markersize=5, transform=apart, label=text, **style)
    lone = [(x, summary.mean) for x, summary in zip(xs, summaries, strict=True) if summary.n == 1]
    if lone:
        hollow = {**style, "linestyle": "none", "markerfacecolor": "white", "markersize": 6, "zorder": 3}
        panel.plot([x for x, _ in lone], [y for _, y in lone], transform=apart, **hollow)
    for x, summary, bar in zip(xs, summaries, bars, strict=True):
        panel.update_datalim([(x, summary.mean - bar), (x, summary.mean + bar)])
    panel.autoscale_view()
