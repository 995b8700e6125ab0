"""Training curves: one run's as its metrics.jsonl holds it, and a group's over its runs."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from core.runs.files import read_json_lines
from core.runs.strict_json import decode_float
from results.groups import Group
from results.run import Run
from results.run_files import Fault
from results.statistics.intervals import Summary, summarise

METRICS_SCHEMA = "pyml.metrics/1"
AXES = ("step", "epoch")


@frozen
class CurvePoint:
    """One line of a curve: where it stands and each measure's mean within the epoch."""

    step: int
    epoch: int
    means: dict[str, float]


def read_curve(run: Run) -> list[CurvePoint]:
    """Return a run's training curve by step; of several lines of one step the last counts, as after a resume.

    What cannot be read is skipped and added to the run's faults.
    """
    path = run.path / "metrics.jsonl"
    try:
        rows, faults = read_json_lines(path)
    except OSError as error:
        run.faults.append(Fault(path, f"cannot be read ({error.strerror or error})"))
        return []
    run.faults.extend(Fault(path, f"line {fault.line_number}: {fault.reason}") for fault in faults)
    points: dict[int, CurvePoint] = {}
    for row in rows:
        try:
            if row["schema"] != METRICS_SCHEMA:
                raise ValueError(f"is of schema {row['schema']!r}; this version reads {METRICS_SCHEMA!r}")
            means = {str(name): decode_float(measure["mean"]) for name, measure in row["measures"].items()}
            points[int(row["step"])] = CurvePoint(int(row["step"]), int(row["epoch"]), means)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            run.faults.append(Fault(path, f"a line is no point of a curve ({type(error).__name__}: {error})"))
    return [points[step] for step in sorted(points)]


@frozen
class GroupCurve:
    """A measure along training over the replicates of a group.

    Attributes:
        positions: Steps or epochs.
        summaries: At each position over the runs that got there: n, mean, t interval.
    """

    positions: tuple[int, ...]
    summaries: tuple[Summary, ...]

    @property
    def n_text(self) -> str:
        """Return "5 runs", or "3 to 5 runs" where some ended earlier."""
        numbers = [summary.n for summary in self.summaries]
        low, high = min(numbers), max(numbers)
        return f"{high} run{'s' * (high != 1)}" if low == high else f"{low} to {high} runs"


def group_curves(group: Group, names: Sequence[str], axis: str = "step", level: float = 0.95) -> dict[str, GroupCurve]:
    """Return each measure's curve over a group's finished runs; a measure that none of them has is left out."""
    curves = [read_curve(run) for run in group.replicates.values()]
    found = {}
    for name in names:
        at: dict[int, list[float]] = {}
        for curve in curves:
            for point in curve:
                if name in point.means:
                    at.setdefault(getattr(point, axis), []).append(point.means[name])
        if at:
            positions = sorted(at)
            found[name] = GroupCurve(tuple(positions), tuple(summarise(at[position], level) for position in positions))
    return found


def curve_names(groups: Sequence[Group]) -> list[str]:
    """Return the names of the measures that the curves of any group's first run hold: the loss, wholes, parts."""
    first = [next(iter(group.replicates.values()), None) for group in groups]
    names = dict.fromkeys(name for run in first if run for point in read_curve(run)[:1] for name in point.means)
    return sorted(names, key=lambda name: (name != "loss", "/" in name))
