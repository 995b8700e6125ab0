"""Run directories written by hand after docs/run_directory.md, without core's writers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

AT = "2026-01-01T00:00:00.000000+00:00"


def measure(name: str = "loss", **fields: Any) -> dict[str, Any]:
    """Return metadata as results.jsonl holds it."""
    known = {"n_steps": None, "n_samples": None, "unit": "image", "protocol": {}, "higher_is_better": False}
    return {"name": name, **known, **fields}


def record(
    mean: float,
    metadata: Mapping[str, Any] | None = None,
    *,
    evaluation: str | None = None,
    source: Mapping[str, Any] | None = None,
    error: float | None = 0.01,
    n: int | None = 100,
) -> dict[str, Any]:
    """Return a line of results.jsonl."""
    result = {"mean": mean, "error": error, "n": n, "n_nan": 0, "n_inf": 0}
    line = {"schema": "pyml.result/1", "evaluation": evaluation, "metadata": metadata or measure(), "result": result}
    return line if source is None else {**line, "source": source}


def finished(evaluation: str, n_records: int = 1, at: str = AT) -> dict[str, Any]:
    """Return the line that ends an evaluation."""
    ended = {"evaluation": evaluation, "state": "finished", "n_records": n_records, "finished_at": at}
    return {"schema": "pyml.evaluation/1", **ended}


def write_run(
    directory: Path,
    number: int,
    records: Sequence[Mapping[str, Any]] = (),
    *,
    step: int | None = 90,
    state: str = "finished",
    environment: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Write a run directory; ``number`` orders the runs in time. The config gets no field that is not given."""
    path = directory / f"20260101T000000{number:06d}Z_{number:06x}"
    path.mkdir(parents=True)
    status = {"state": state, "reason": None, "host": "node1", "pid": 1, "step": step, "n_steps_total": step}
    times = {"started_at": AT, "heartbeat_at": AT, "finished_at": AT}
    files = {
        "config.json": {"schema": "pyml.config/1", "config": {"model": "mlp", **config}, "plugins": {}},
        "status.json": {"schema": "pyml.status/1", **status, **times},
    }
    if environment is not None:
        files["environment.json"] = {"schema": "pyml.environment/1", **environment}
    for name, content in files.items():
        (path / name).write_text(json.dumps(content, indent=2) + "\n")
    (path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in records))
    return path


def write_curve(path: Path, steps: Sequence[int]) -> None:
    """Write metrics.jsonl with one line per step."""
    loss = {"loss": {"mean": 0.5, "spread": 0.1, "n": 10}}
    rows = [{"schema": "pyml.metrics/1", "step": step, "epoch": i, "measures": loss} for i, step in enumerate(steps)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
