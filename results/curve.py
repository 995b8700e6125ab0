"""Training curves: of one run, from its metrics.jsonl, and of a group, summarised over its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from core.runs.metrics import CurvePoint
from core.runs.metrics import read_curve as read_metrics
from results.groups import Group
from results.run import Run
from results.statistics.intervals import Summary, summarise


def read_curve(run: Run) -> list[CurvePoint]:
    """Return a run's training curve by step. Lines that cannot be read are skipped and added to the run's faults."""
    points, faults = read_metrics(run.path)
    run.faults.extend(faults)
    return points


@frozen
class GroupCurve:
    """The training curve of a measure over the replicates of a group.

    Attributes:
        positions: Steps or epochs.
        summaries: n, mean and t interval at each position, over the runs that reached it.
        runs: Each run's own curve, as (position, mean) pairs, by seed.
    """

    positions: tuple[int, ...]
    summaries: tuple[Summary, ...]
    runs: Mapping[Any, tuple[tuple[int, float], ...]] = field(factory=dict)

    @property
    def n_text(self) -> str:
        """Return "5 runs", or "3 to 5 runs" if some runs ended earlier."""
        numbers = [summary.n for summary in self.summaries]
        low, high = min(numbers), max(numbers)
        return f"{high} run{'s' * (high != 1)}" if low == high else f"{low} to {high} runs"

    def ends_not_finite(self) -> dict[Any, int]:
        """Return the seeds whose curves end in NaN or infinity, each with the position from which on they do."""
        found = {}
        for seed, points in self.runs.items():
            finite = [i for i, (_, mean) in enumerate(points) if math.isfinite(mean)]
            first = finite[-1] + 1 if finite else 0
            if first < len(points):
                found[seed] = points[first][0]
        return found


def group_curves(group: Group, names: Sequence[str], axis: str = "step", level: float = 0.95) -> dict[str, GroupCurve]:
    """Return each measure's curve over a group's finished runs; a measure that none of them has is left out.

    Args:
        group: The group, whose replicates are runs that differ only in seed.
        names: Names of the measures, such as "loss"; see ``curve_names``.
        axis: "step" for training steps, "epoch" for epochs.
        level: Coverage of the t intervals over runs, in (0, 1).

    Returns:
        The curves by name, in the order of ``names``.
    """
    curves = {key: read_curve(run) for key, run in group.replicates.items()}
    found = {}
    for name in names:
        at: dict[int, list[float]] = {}
        runs: dict[Any, dict[int, float]] = {}
        for key, curve in curves.items():
            for point in curve:
                position = getattr(point, axis)  # a user's own training loop may have no epochs
                if name in point.means and position is not None:
                    at.setdefault(position, []).append(point.means[name])
                    runs.setdefault(key, {})[position] = point.means[name]
        if at:
            positions = sorted(at)
            summaries = tuple(summarise(at[position], level) for position in positions)
            found[name] = GroupCurve(
                tuple(positions), summaries, {key: tuple(sorted(points.items())) for key, points in runs.items()}
            )
    return found


def curve_names(groups: Sequence[Group]) -> list[str]:
    """Return the measures in the curve of each group's first run: the loss first, then others, then parts (loss/a)."""
    first = [next(iter(group.replicates.values()), None) for group in groups]
    names = dict.fromkeys(name for run in first if run for point in read_curve(run) for name in point.means)
    return sorted(names, key=lambda name: (name != "loss", "/" in name))
