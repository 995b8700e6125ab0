"""Run directories made by core's own writers, so that what the tests read cannot drift from what runs write."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.runs.evaluations import finish_evaluation, start_evaluation
from core.runs.files import append_json_line
from core.utils.results import ResultMetadata, ResultRecord, ScalarResult, log_record

LOSS = ResultMetadata("loss", unit="image", protocol={"split": "held_out"}, higher_is_better=False)
ACCURACY = ResultMetadata("accuracy", unit="image", protocol={"split": "held_out"}, higher_is_better=True)
PLUGINS = {
    "model": {"name": "mlp", "distribution": "pyml-core", "version": "0.1.0"},
    "dataset": {"name": "digits", "distribution": "pyml-core", "version": "0.1.0"},
}

Results = Mapping[ResultMetadata, ScalarResult | float]
MakeRun = Callable[..., Path]
Invoke = Callable[..., tuple[int, str, str]]  # exit code, stdout, stderr


def set_status(run_path: Path, **fields: Any) -> None:
    path = run_path / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def log(run_path: Path, results: Results, *, finished: bool = True) -> str:
    """Append the results as one evaluation, the way core does it."""
    evaluation = start_evaluation(run_path, {})
    for metadata, value in results.items():
        result = value if isinstance(value, ScalarResult) else ScalarResult(value, 0.01, n=359)
        log_record(ResultRecord(metadata, result), run_path, evaluation=evaluation)
    if finished:
        finish_evaluation(run_path, evaluation, len(results))
    return evaluation


def log_curve(run_path: Path, losses: Mapping[int, float]) -> None:
    """Append a training curve, one line per step, in the shape of metrics.jsonl."""
    for epoch, (step, loss) in enumerate(losses.items(), start=1):
        measures = {"loss": {"mean": loss, "spread": 0.5, "n": 100}}
        row = {
            "schema": "pyml.metrics/1",
            "step": step,
            "epoch": epoch,
            "measures": measures,
            "wall_time_s": 0.1 * step,
        }
        append_json_line(run_path / "metrics.jsonl", row)
