"""A run's metrics.jsonl, the training curve: each epoch's measures, one line per epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from core.runs.files import Fault, append_json_line, read_json_lines
from core.runs.strict_json import decode_float

if TYPE_CHECKING:
    from core.utils.meters import Meter

METRICS_SCHEMA = "pyml.metrics/1"
METRICS_FILE = "metrics.jsonl"


def log_epoch(
    run_path: str | Path, meter: Meter, step: int, epoch: int, wall_time_s: float, images_per_s: float
) -> None:
    """Append one epoch's line to metrics.jsonl.

    ``spread`` is the standard deviation within the epoch; the weights change meanwhile, so it is no error of the mean.

    Args:
        run_path: The run directory.
        meter: The epoch's measures.
        step: Training steps done.
        epoch: Epochs done.
        wall_time_s: Training time so far, in seconds.
        images_per_s: Images per second in this epoch.
    """
    measures: dict[str, Any] = {
        name: {"mean": result.mean, "spread": meter.std(name), "n": meter.count(name)}
        for name, result in meter.results().items()
    }
    line = {"schema": METRICS_SCHEMA, "step": step, "epoch": epoch, "measures": measures}
    line |= {"wall_time_s": wall_time_s, "images_per_s": images_per_s}
    append_json_line(Path(run_path) / METRICS_FILE, line)


def wall_time_until(run_path: str | Path, step: int) -> float:
    """Return the training time, in seconds, that the curve shows for the last epoch ended by ``step``; 0 if none."""
    rows, _ = read_json_lines(Path(run_path) / METRICS_FILE)
    times = [float(row["wall_time_s"]) for row in rows if row["step"] <= step]
    return times[-1] if times else 0.0


@frozen
class CurvePoint:
    """One line of a curve: where it stands, and each measure's mean within the epoch."""

    step: int
    epoch: int
    means: dict[str, float]


def read_curve(run_path: str | Path) -> tuple[list[CurvePoint], list[Fault]]:
    """Return a run's training curve by step, and what of metrics.jsonl could not be read.

    Of several lines with one step the last counts: a resumed run writes some steps again.
    """
    path = Path(run_path) / METRICS_FILE
    try:
        rows, faults = read_json_lines(path)
    except OSError as error:
        return [], [Fault(path, f"cannot be read ({error.strerror or error})")]
    points: dict[int, CurvePoint] = {}
    for row in rows:
        try:
            if row["schema"] != METRICS_SCHEMA:
                raise ValueError(f"has schema {row['schema']!r}; this version reads {METRICS_SCHEMA!r}")
            means = {str(name): decode_float(measure["mean"]) for name, measure in row["measures"].items()}
            points[int(row["step"])] = CurvePoint(int(row["step"]), int(row["epoch"]), means)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            faults.append(Fault(path, f"a line is no point of a curve ({type(error).__name__}: {error})"))
    return [points[step] for step in sorted(points)], faults
