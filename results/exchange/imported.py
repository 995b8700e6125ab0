"""Runs of MLflow as run directories: which id each gets, and what its files hold."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.runs import strict_json
from core.runs.config_file import CONFIG
from core.runs.environment import ENVIRONMENT
from core.runs.evaluations import RESULTS_FILE, TRAINING
from core.runs.files import RunFile
from core.runs.metrics import METRICS_FILE, lines_of_values
from core.runs.result_log import record_line
from core.runs.status import STATUS
from core.runs.tags import MOST_NOTE, TAGS
from core.utils.metadata import ResultMetadata
from core.utils.records import ResultRecord, ScalarResult
from results.exchange.mlflow_store import COMMIT, NOTE, Content, StoredRun

STATES = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}
WORDS = {"True": True, "False": False, "None": None}
#: How Python and people spell numbers. 1.10, 007 and 1_000 are not numbers here: something would be lost.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.(0|\d*[1-9]))?([eE][+-]?\d+)?")
MOST_DIGITS = 40


def ids(run: StoredRun) -> Iterator[str]:
    """Yield ids for a run: the time at which it started, and digits of the hash of MLflow's id.

    The first is the run's, unless another run has it: two runs that started in the same millisecond share it by chance
    with a probability of 1 in 16 million.
    """
    digest = hashlib.sha256(run.id.encode()).hexdigest()
    for start in range(0, len(digest) - 5, 6):
        yield f"{run.started:%Y%m%dT%H%M%S%f}Z_{digest[start : start + 6]}"


def files_of(run: StoredRun, content: Content) -> dict[str, bytes]:
    """Return the content of each file of the run directory.

    Raises:
        ValueError: A metric has a name or a step that a run directory cannot hold.
    """
    files = {
        CONFIG.name: _json(CONFIG, {"config": config_of(run, content), "plugins": {}, "found_in_data": []}),
        ENVIRONMENT.name: _json(ENVIRONMENT, _environment(run, content)),
        STATUS.name: _json(STATUS, _status(run, content)),
        METRICS_FILE: _bytes(lines_of_values(_curve(run, content))),
        RESULTS_FILE: b"".join(_line(record_line(record, TRAINING)) for record in _results(content)),
    }
    if note := content.tags.get(NOTE, "").strip():
        files[TAGS.name] = _json(TAGS, {"tags": [], "note": note[:MOST_NOTE], "archived": False})
    return {name: each for name, each in files.items() if each}


def config_of(run: StoredRun, content: Content) -> dict[str, Any]:
    """Return the parameters, numbers as numbers, and the name of the experiment as ``experiment``."""
    fields = {name: value_of(text) for name, text in content.parameters.items()}
    return {"experiment" if "experiment" not in fields else "mlflow_experiment": run.experiment, **fields}


def value_of(text: str) -> Any:
    """Return the number, boolean or None that a parameter's text stands for, or the text if that would lose anything.

    MLflow keeps parameters as text. A text becomes a float only if the float is exactly the decimal number as Python
    prints it: 0.001 and 1e-3 do; 1.10, 007 and a number of 20 digits after the point stay text.
    """
    if text in WORDS:
        return WORDS[text]
    match = NUMBER.fullmatch(text)
    if match is None or len(text) > MOST_DIGITS:
        return text
    if match[2] is None and match[4] is None:
        return int(text) if abs(int(text)) < 2**63 else text
    number = float(text)
    return number if math.isfinite(number) and Decimal(repr(number)) == Decimal(text) else text


def is_run(environment: Mapping[str, Any], run: StoredRun) -> bool:
    """Return whether an environment.json is that of a run that was imported before."""
    return environment.get("mlflow_run_id") == run.id


def _environment(run: StoredRun, content: Content) -> dict[str, Any]:
    known = {name: text for name, text in content.tags.items() if not name.startswith("mlflow.")}
    return {
        **dict.fromkeys(("python", "platform", "torch"), None),
        "packages": {},
        **dict.fromkeys(("host", "n_cpus", "working_directory"), None),
        "git_commit": content.tags.get(COMMIT) or None,
        "git_dirty": None,
        "command": None,
        "mlflow_run_id": run.id,
        "mlflow_run_name": run.name,
        "mlflow_experiment": run.experiment,
        "mlflow_tags": known,
    }


def _status(run: StoredRun, content: Content) -> dict[str, Any]:
    state = STATES.get(run.status, "interrupted")  # one that MLflow calls running is imported only on request
    last = max((points[-1].step for points in content.metrics.values()), default=0)
    ended = None if run.ended is None else _iso(run.ended)
    return {
        "state": state,
        "reason": None if state == "finished" else f"MLflow says {run.status}",
        "host": None,
        "pid": None,
        "step": last if last > 0 else None,
        "n_steps_total": None,
        "started_at": _iso(run.started),
        "heartbeat_at": ended,
        "finished_at": ended,
    }


def _curve(run: StoredRun, content: Content) -> Iterator[tuple[int, dict[str, float], float]]:
    """Yield each step of the training curve, its values by name, and the time since the start in seconds.

    A metric that was never logged with a step is a result only.
    """
    steps: dict[int, dict[str, float]] = {}
    times_ms: dict[int, int] = {}
    for name, points in content.metrics.items():
        if points[0].step < 0:
            raise ValueError(f"metric {name!r}: got the step {points[0].step}; accepted: 0 or more")
        if points[-1].step == 0:
            continue
        for step, timestamp_ms, value in points:
            if step in steps:
                steps[step][name] = value
                if timestamp_ms > times_ms[step]:
                    times_ms[step] = timestamp_ms
            else:
                steps[step], times_ms[step] = {name: value}, timestamp_ms
    start_ms = run.started.timestamp() * 1000
    for step in sorted(steps):
        yield step, steps[step], (times_ms[step] - start_ms) / 1000


def _results(content: Content) -> Iterator[ResultRecord]:
    """Yield the last value of each metric: one number per run, whose error is unknown."""
    for name, points in content.metrics.items():
        value = points[-1].value
        n_nan, n_inf = int(math.isnan(value)), int(math.isinf(value))
        yield ResultRecord(_metadata(name), ScalarResult(value, math.nan, 1 - n_nan, n_nan, n_inf))


@lru_cache(1024)
def _metadata(name: str) -> ResultMetadata:
    """Return the metadata of a metric; the runs of a store have the same metrics."""
    return ResultMetadata(name, unit="run")


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


def _json(file: RunFile, fields: Mapping[str, Any]) -> bytes:
    return _bytes(strict_json.dumps({"schema": file.schema, **fields}, indent=2) + "\n")


def _line(row: Mapping[str, Any]) -> bytes:
    return _bytes(strict_json.dumps(row) + "\n")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def write(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a run directory without waiting for the disk; the caller does that once for all runs."""
    directory.mkdir()
    for name, content in files.items():
        with (directory / name).open("xb", buffering=0) as file:
            file.write(content)
