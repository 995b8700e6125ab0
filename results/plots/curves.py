"""Plot training curves: the mean of each measure over runs with a band, and the single runs as thin lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from core.config.errors import ConfigError, unknown_name
from results.curve import GroupCurve, curve_names, group_curves
from results.groups import Group, name_groups
from results.plots.end_labels import END_WIDTH, add_end_label
from results.plots.figure import PANEL, WIDE_PANEL, new_figure, plain
from results.plots.line_styles import FEW_LINES, styles
from results.plots.look import DEFAULT, Look
from results.plots.room import LINE_SPACING, finish, wrapped
from results.text.labels import count, spell
from results.text.short_labels import ShortLabels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SEEDS_NAMED = 5


@frozen
class CurveOptions:
    """How curves are drawn.

    Attributes:
        axis: Horizontal axis, "step" or "epoch".
        log: Use a logarithmic vertical axis.
        level: Coverage of the band, Student's t interval over runs.
        smooth: Number of points in the moving average of the drawn mean; 1 draws the mean as measured.
        seeds: Draw the single runs as thin lines. None: for up to ``FEW_LINES`` groups.
        look: Size and style.
        notes: Sentences for the end of the caption.
    """

    axis: str = "step"
    log: bool = False
    level: float = 0.95
    smooth: int = 1
    seeds: bool | None = None
    look: Look = DEFAULT
    notes: tuple[str, ...] = ()


def plot_curves(groups: Sequence[Group], names: Sequence[str] = (), options: CurveOptions | None = None) -> Figure:
    """Plot the training curves of groups, a panel per measure.

    Args:
        groups: The groups; each is one line.
        names: Measures in metrics.jsonl. Default: "loss", or the first measure if there is no loss.
        options: How they are drawn.

    Raises:
        ConfigError: No group has a curve, or no curve has the measure (the nearest name is suggested).
    """
    options = options or CurveOptions()
    known = curve_names(groups)
    if not known:
        raise ConfigError("no finished run has a training curve (metrics.jsonl).")
    for name in names:
        if name not in known:
            raise unknown_name("measure of the training curves", name, known)
    chosen = list(names) or (["loss"] if "loss" in known else known[:1])
    curves = [group_curves(group, chosen, options.axis, options.level) for group in groups]
    return draw_curves(groups, chosen, curves, options, name_groups(groups, END_WIDTH))


def draw_curves(
    groups: Sequence[Group],
    names: Sequence[str],
    curves: Sequence[Mapping[str, GroupCurve]],
    options: CurveOptions,
    labels: ShortLabels,
) -> Figure:
    """Plot curves that were read.

    Args:
        groups: The groups.
        names: The measures, one per panel.
        curves: For each group, its curves by measure.
        options: How they are drawn.
        labels: The short labels of the groups.
    """
    shape = PANEL if len(groups) <= FEW_LINES else WIDE_PANEL
    figure, axes = new_figure(len(names), panel=shape, size=options.look.size)
    drawn_seeds = _draws_seeds(curves, options)
    same_n = _same_n(curves) if len(groups) > FEW_LINES else ""
    for name, panel in zip(names, axes, strict=True):
        for i, (found, style) in enumerate(zip(curves, styles(len(groups)), strict=True)):
            if name in found:
                legend = labels.entry(i) if same_n else f"{labels.entry(i)} (n = {found[name].n_text})"
                _draw(panel, found[name], style, plain(legend), options, drawn_seeds)
                if len(groups) > 1:
                    xs, ys = found[name].positions, _means(found[name], options.smooth)
                    add_end_label(panel, xs, ys, plain(labels.names[i]), style["color"])
        panel.set_xlabel({"step": "training step", "epoch": "epoch"}[options.axis])
        panel.locator_params(axis="x", integer=True)
        panel.set_ylabel(
            f"{wrapped(plain(name), PANEL[1] - 0.9, 10)}\nmean since the previous point", linespacing=LINE_SPACING
        )
        if options.log:
            panel.set_yscale("log")
    finish(figure, axes, plain(curve_caption(groups, curves, options, labels)), options.look)
    return figure


def curve_caption(
    groups: Sequence[Group],
    curves: Sequence[Mapping[str, GroupCurve]],
    options: CurveOptions,
    labels: ShortLabels,
) -> str:
    """Return the caption: what is drawn, which seeds end in NaN, what failed, and in what else the groups differ.

    Args:
        groups: The groups.
        curves: For each group, its curves by measure.
        options: How they are drawn.
        labels: The short labels of the groups.
    """
    same_n = _same_n(curves) if len(groups) > FEW_LINES else ""
    notes = [same_n, *_ends(labels.names, curves, options.axis), *_failures(groups, labels.names), labels.note()]
    return " ".join(filter(None, [_drawn(options, _draws_seeds(curves, options)), *notes, *options.notes]))


def _draws_seeds(curves: Sequence[Mapping[str, GroupCurve]], options: CurveOptions) -> bool:
    has_seeds = any(len(curve.runs) > 1 for found in curves for curve in found.values()) or options.smooth > 1
    return has_seeds and (len(curves) <= FEW_LINES if options.seeds is None else options.seeds)


def _drawn(options: CurveOptions, seeds: bool) -> str:
    """Return the sentences that explain the lines and bands."""
    mean = "mean over runs that differ only in seed"
    if options.smooth > 1:
        mean = f"moving average over {options.smooth} points (centred) of the {mean}; only this line is smoothed"
    return (
        f"Line: {mean}. Band: {100 * options.level:g}% Student's t interval over runs. A single run has no band."
        f"{' Thin lines: single runs.' if seeds else ''}"
    )


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Return the centred moving average. Towards the ends the window shrinks on both sides, so that a trend stays.

    Points that are not finite stay as they are and do not enter the average of others.

    Args:
        values: The values.
        window: Number of points, odd.
    """
    import numpy as np

    found = np.asarray(values, dtype=float)
    finite = np.isfinite(found)
    at = np.arange(len(found))
    half = np.minimum(window // 2, np.minimum(at, at[::-1]))
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, found, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    first, last = at - half, at + half + 1
    found[finite] = ((sums[last] - sums[first]) / np.maximum(counts[last] - counts[first], 1))[finite]
    return [float(value) for value in found]


def _means(curve: GroupCurve, smooth: int) -> list[float]:
    means = [summary.mean for summary in curve.summaries]
    return smoothed(means, smooth) if smooth > 1 else means


def _draw(
    panel: Axes, curve: GroupCurve, style: Mapping[str, Any], label: str, options: CurveOptions, seeds: bool
) -> None:
    colour = style["color"]
    low = [summary.ci_low for summary in curve.summaries]
    high = [summary.ci_high for summary in curve.summaries]
    marker = "o" if len(curve.positions) == 1 else None
    means = _means(curve, options.smooth)
    panel.plot(
        curve.positions, means, color=colour, linestyle=style["linestyle"], marker=marker, linewidth=1.6, label=label
    )
    panel.fill_between(curve.positions, low, high, color=colour, alpha=0.15, linewidth=0)
    if seeds and (len(curve.runs) > 1 or options.smooth > 1):
        for points in curve.runs.values():
            xs, ys = zip(*points, strict=True)
            panel.plot(xs, ys, color=colour, linewidth=0.5, alpha=0.45, zorder=1.5)


def _ends(names: Sequence[str], curves: Sequence[Mapping[str, GroupCurve]], axis: str) -> list[str]:
    """Return a sentence for each group and measure in which a seed ends in NaN or infinity."""
    found = []
    for name, of_group in zip(names, curves, strict=True):
        for measure, curve in of_group.items():
            ends = curve.ends_not_finite()
            seeds = [f"seed {spell(seed)} (from {axis} {at:,})" for seed, at in list(ends.items())[:MOST_SEEDS_NAMED]]
            if ends:
                more = f" and {len(ends) - MOST_SEEDS_NAMED} more" if len(ends) > MOST_SEEDS_NAMED else ""
                found.append(
                    f"{name}: {measure} ends in NaN or infinity for {', '.join(seeds)}{more}; so does the mean."
                )
    return found


def _same_n(curves: Sequence[Mapping[str, GroupCurve]]) -> str:
    """Return a sentence with the number of runs if it is the same for all lines, else ""."""
    numbers = {curve.n_text for found in curves for curve in found.values()}
    return f"Each line: n = {numbers.pop()}." if len(numbers) == 1 else ""


def _failures(groups: Sequence[Group], names: Sequence[str]) -> list[str]:
    failed = [
        f"{count(group.left_out['failed'], 'failed run')} of {name}"
        for group, name in zip(groups, names, strict=True)
        if "failed" in group.left_out
    ]
    return [f"Not drawn: {', '.join(failed)}."] if failed else []
