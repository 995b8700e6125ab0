"""A run's metrics.jsonl, the training curve. Each line is a point: what was measured since the previous line."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from core.runs.files import Fault, append_json_line, read_json_lines
from core.runs.limits import MOST_MAGNITUDE, MOST_STEP
from core.runs.strict_json import decode_float, dumps, encode_float
from core.utils.fields import count, count_or_none, real

if TYPE_CHECKING:
    from core.utils.meters import Meter

METRICS_SCHEMA = "pyml.metrics/1"
METRICS_FILE = "metrics.jsonl"
VALIDATION_LOSS = "validation_loss"  #: The measure that chooses the best checkpoint, where there is one.


def log_curve_point(
    run_path: str | Path, meter: Meter, step: int, *, epoch: int | None = None, **fields: float
) -> dict[str, float]:
    """Append a point to the training curve and return each measure's mean.

    ``spread`` is the standard deviation since the last point. The weights change meanwhile, so it is not an
    error of the mean.

    Args:
        run_path: The run directory.
        meter: What was measured since the last point.
        step: Training steps done.
        epoch: Epochs done, where training has epochs.
        **fields: More numbers for the line, such as ``wall_time_s``, the training time so far in seconds.

    Raises:
        TypeError: ``step`` or ``epoch`` is not an integer from 0 up, or a field is not a number.
        ValueError: The meter has no measures, or a field has a name that the line already uses.
    """
    step, epoch = count(step, "step"), count_or_none(epoch, "epoch")
    results = meter.results()
    if not results:
        raise ValueError("the meter has no measures to write. Call first: run.meter.update(loss=...)")
    measures = {name: (result.mean, meter.std(name), meter.count(name)) for name, result in results.items()}
    append_json_line(Path(run_path) / METRICS_FILE, curve_line(step, measures, epoch, fields))
    return {name: result.mean for name, result in results.items()}


def curve_line(
    step: int, measures: Mapping[str, tuple[float, float | None, int]], epoch: int | None, fields: Mapping[str, float]
) -> dict[str, Any]:
    """Return a line of metrics.jsonl.

    Args:
        step: Training steps done.
        measures: Mean, standard deviation (None if unknown) and number of observations by name.
        epoch: Epochs done, or None.
        fields: More numbers of the line.

    Raises:
        TypeError: A field is not a number.
        ValueError: A field has a name that the line already uses.
    """
    parts = {name: {"mean": mean, "spread": spread, "n": n} for name, (mean, spread, n) in measures.items()}
    line = {"schema": METRICS_SCHEMA, "step": step, "epoch": epoch, "measures": parts}
    if clash := sorted(line.keys() & fields.keys()):
        raise ValueError(f"{clash[0]}: each line of a curve has a field of this name; give another name")
    if epoch is None:
        del line["epoch"]
    return line | {name: real(value, name) for name, value in fields.items()}


def lines_of_values(points: Iterable[tuple[int, Mapping[str, float], float]]) -> str:
    """Return the lines of a curve whose means are single values: those of :func:`curve_line`, five times as fast.

    Args:
        points: For each line the step, each measure's value by its name, and the training time so far in seconds.
    """
    starts: dict[str, str] = {}
    lines = []
    for step, values, wall_time_s in points:
        measures = []
        for name, value in values.items():
            if (start := starts.get(name)) is None:
                start = starts[name] = f'{dumps(name)}: {{"mean": '
            number = repr(value) if math.isfinite(value) else dumps(encode_float(value))
            measures.append(f'{start}{number}, "spread": null, "n": 1}}')
        lines.append(
            f'{{"schema": "{METRICS_SCHEMA}", "step": {step}, "measures": {{{", ".join(measures)}}}, '
            f'"wall_time_s": {wall_time_s!r}}}\n'
        )
    return "".join(lines)


def wall_time_until(run_path: str | Path, step: int) -> float:
    """Return the training time, in seconds, that the curve shows for its last point up to ``step``; 0 if none."""
    rows, _ = read_json_lines(Path(run_path) / METRICS_FILE)
    times = [row.get("wall_time_s") for row in rows if type(row.get("step")) is int and row["step"] <= step]
    known = [float(time) for time in times if isinstance(time, int | float)]
    return known[-1] if known else 0.0


def last_step(run_path: str | Path) -> int | None:
    """Return the greatest step of a run's curve, None where there is none."""
    points, _ = read_curve(run_path)
    return points[-1].step if points else None


def best_step(run_path: str | Path) -> int | None:
    """Return the step whose validation loss is lowest, the first of several; None if the curve has no such loss."""
    points, _ = read_curve(run_path)
    losses = [(point.means[VALIDATION_LOSS], point.step) for point in points if VALIDATION_LOSS in point.means]
    return min((pair for pair in losses if math.isfinite(pair[0])), default=(0.0, None))[1]


@frozen
class CurvePoint:
    """One line of a curve: its step and epoch (or None), and each measure's mean since the previous line."""

    step: int
    epoch: int | None
    means: dict[str, float]


def read_curve(run_path: str | Path) -> tuple[list[CurvePoint], list[Fault]]:
    """Return a run's training curve by step, and what of metrics.jsonl could not be read.

    Of several lines with one step the last counts: a resumed run writes some steps again.
    """
    path = Path(run_path) / METRICS_FILE
    rows, faults = read_json_lines(path)
    points: dict[int, CurvePoint] = {}
    for row in rows:
        try:
            if row["schema"] != METRICS_SCHEMA:
                raise ValueError(f"has schema {row['schema']!r}; this version reads {METRICS_SCHEMA!r}")
            means = {str(name): decode_float(measure["mean"]) for name, measure in row["measures"].items()}
            step, epoch = _checked_count(row, "step"), row.get("epoch")
            epoch = None if epoch is None else _checked_count(row, "epoch")
            if too_large := {name for name, mean in means.items() if MOST_MAGNITUDE < abs(mean) < math.inf}:
                means |= {name: math.copysign(math.inf, means[name]) for name in too_large}
                what = f"step {step}: the mean of {', '.join(sorted(too_large))} is beyond {MOST_MAGNITUDE:g}"
                faults.append(Fault(path, f"{what}; it counts as infinite"))
            points[step] = CurvePoint(step, epoch, means)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            faults.append(Fault(path, f"a line is not a point of a curve ({type(error).__name__}: {error})"))
    return [points[step] for step in sorted(points)], faults


def _checked_count(row: Mapping[str, Any], name: str) -> int:
    value = row[name]
    if type(value) is not int or not 0 <= value < MOST_STEP:
        raise ValueError(f"{name}: got {reprlib.repr(value)}; accepted: an integer from 0 up, below {MOST_STEP:.0e}")
    return value
