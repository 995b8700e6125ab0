"""Plot training curves: the mean of each measure over runs, with a band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.config.errors import ConfigError, unknown_name
from results.curve import GroupCurve, curve_names, group_curves
from results.groups import Group
from results.plots.figure import finish, new_figure, plain, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_curves(
    groups: Sequence[Group], names: Sequence[str] = (), *, axis: str = "step", log: bool = False, level: float = 0.95
) -> Figure:
    """Plot the training curves of groups, a panel per measure.

    Args:
        groups: The groups; each is one line.
        names: Measures in metrics.jsonl. Default: "loss", or the first measure if there is no loss.
        axis: Horizontal axis, "step" or "epoch".
        log: Use a logarithmic vertical axis.
        level: Coverage of the band, Student's t interval over runs.

    Raises:
        ConfigError: No group has a curve, or no curve has the measure (the nearest name is suggested).
    """
    known = curve_names(groups)
    if not known:
        raise ConfigError("no finished run has a training curve (metrics.jsonl).")
    for name in names:
        if name not in known:
            raise unknown_name("measure of the training curves", name, known)
    chosen = list(names) or (["loss"] if "loss" in known else known[:1])
    figure, axes = new_figure(len(chosen))
    curves = [group_curves(group, chosen, axis, level) for group in groups]
    for name, panel in zip(chosen, axes, strict=True):
        for group, found, style in zip(groups, curves, styles(len(groups)), strict=True):
            if name in found:
                _draw(panel, found[name], group.label or "all runs", style["color"], style["linestyle"])
        panel.set_xlabel({"step": "training step", "epoch": "epoch"}[axis])
        panel.set_ylabel(f"{plain(name)}\nmean within the epoch")
        if log:
            from matplotlib.ticker import LogFormatter

            panel.set_yscale("log")
            for formatter in (panel.yaxis.set_major_formatter, panel.yaxis.set_minor_formatter):
                formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
    finish(figure, axes, caption(level))
    return figure


def caption(level: float) -> str:
    """Return the caption, which explains the lines and bands."""
    return (
        f"Line: mean over runs that differ only in seed. Band: {100 * level:g}% Student's t interval over runs. "
        "A single run has no band."
    )


def _draw(panel: Axes, curve: GroupCurve, label: str, colour: str, dash: str) -> None:
    means = [summary.mean for summary in curve.summaries]
    low = [summary.ci_low for summary in curve.summaries]
    high = [summary.ci_high for summary in curve.summaries]
    marker = "o" if len(means) == 1 else None
    text = plain(f"{label} (n = {curve.n_text})")
    panel.plot(curve.positions, means, color=colour, linestyle=dash, marker=marker, linewidth=1.5, label=text)
    panel.fill_between(curve.positions, low, high, color=colour, alpha=0.2, linewidth=0)
