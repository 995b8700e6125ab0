"""MLflow's file store, as its files are: experiments, and runs with parameters, metrics and tags.

Source: mlflow/store/tracking/file_store.py of MLflow 3. A run is a directory with meta.yaml and one file per parameter,
metric and tag; a name with slashes lies in subdirectories. A line of a metric is "TIMESTAMP VALUE STEP", with the name
and digest of a data set behind it in newer versions.
"""

from __future__ import annotations

import contextlib
import math
import operator
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from attrs import frozen

from core.config.errors import ConfigError
from core.runs.files import read_file
from core.runs.limits import MOST_LINES_BYTES, MOST_STEP
from core.runs.open_file import directory_inside

META = "meta.yaml"
THREE_FIELDS = re.compile(rb"(?:[0-9]+ \S+ [0-9]+\n)+")  # of each line of a metric
RUN_ID = re.compile(r"[0-9a-f]{32}")
STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
COMMIT = "mlflow.source.git.commit"
NOTE = "mlflow.note.content"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Point(NamedTuple):
    """One value of a metric. MLflow takes the last by step, time and value for the metric's value."""

    step: int
    timestamp_ms: int
    value: float


@frozen
class StoredRun:
    """One run of the store, as its meta.yaml describes it.

    Attributes:
        id: MLflow's id.
        name: Its name, "" where it has none.
        experiment: The name of its experiment.
        status: "FINISHED", "FAILED", "KILLED", "RUNNING" or "SCHEDULED".
        started: When it started, UTC.
        ended: When it ended, or None.
        is_deleted: Whether it was deleted in MLflow.
        parameters: Their texts by name.
        path: Its directory.
    """

    id: str
    name: str
    experiment: str
    status: str
    started: datetime
    ended: datetime | None
    is_deleted: bool
    path: Path


@frozen
class Content:
    """What a run logged.

    Attributes:
        parameters: Their texts by name.
        metrics: Their values by name, by step, one for each step.
        tags: Their texts by name.
    """

    parameters: dict[str, str]
    metrics: dict[str, list[Point]]
    tags: dict[str, str]


def run_directories(store: Path) -> list[tuple[Path, str]]:
    """Return the directory of each run and the name of its experiment.

    Args:
        store: The directory of the store, usually called mlruns, or that of one experiment.

    Raises:
        ConfigError: It is no such directory, or PyYAML is not installed.
    """
    load_yaml("")
    experiments = [store] if (store / META).is_file() else sorted(path.parent for path in store.glob(f"*/{META}"))
    if not experiments:
        inner = " Try its directory mlruns." if (store / "mlruns").is_dir() else ""
        raise ConfigError(
            f"{store}: holds no file store of MLflow; accepted: a directory with EXPERIMENT/{META}, usually called "
            f"mlruns.{inner} Databases such as mlflow.db are not read."
        )
    found = [(run, _experiment_name(path)) for path in experiments for run in _runs_of(path)]
    return sorted(found, key=lambda each: each[0].name)


def _runs_of(experiment: Path) -> Iterator[Path]:
    """Yield what is, or by its name should be, a run; not MLflow's directories of models, traces and tags."""
    for path in experiment.iterdir():
        if path.is_dir() and (RUN_ID.fullmatch(path.name) or (path / META).is_file()):
            yield path


def _experiment_name(path: Path) -> str:
    try:
        return str(_meta(path)["name"])
    except (ValueError, OSError, KeyError):
        return path.name  # its id, which names the experiment as well


def read_run(path: Path, experiment: str) -> StoredRun:
    """Read what meta.yaml says about a run.

    Raises:
        ValueError: A file is missing or damaged; the message names it.
    """
    try:
        meta = _meta(path)
        return StoredRun(
            id=str(meta.get("run_id") or meta["run_uuid"]),
            name=str(meta.get("run_name") or ""),
            experiment=experiment,
            status=_status(meta["status"]),
            started=_time(meta["start_time"]),
            ended=None if meta.get("end_time") is None else _time(meta["end_time"]),
            is_deleted=meta.get("lifecycle_stage") == "deleted",
            path=path,
        )
    except OSError as error:
        raise _unreadable(error, path) from None
    except KeyError as error:
        raise ValueError(f"{path / META}: has no field {error.args[0]!r}") from None


def read_content(run: StoredRun) -> Content:
    """Read what a run logged.

    Raises:
        ValueError: A file is damaged or cannot be read; the message names it.
    """
    try:
        return Content(
            {name: _text(file) for name, file in _files(run.path, "params")},
            {name: _points(file) for name, file in _files(run.path, "metrics")},
            {name: _text(file) for name, file in _files(run.path, "tags")},
        )
    except OSError as error:
        raise _unreadable(error, run.path) from None


def _unreadable(error: OSError, path: Path) -> ValueError:
    return ValueError(f"{error.filename or path}: cannot be read ({error.strerror or error})")


def load_yaml(text: str) -> Any:
    """Return what a YAML text holds, by PyYAML's safe loader.

    Raises:
        ConfigError: PyYAML is not installed.
        ValueError: The text is not YAML, or refers to parts of itself: a small one could expand beyond the memory.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise ConfigError(
            "import mlruns needs PyYAML, which is not installed. Try: pip install 'pyml-core[mlflow]'."
        ) from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast as SafeLoader
    try:
        if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, loader)):
            raise ValueError("refers to parts of itself, which MLflow never writes")
        return yaml.load(text, loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"is not YAML ({' '.join(str(error).split())})") from None


def _meta(directory: Path) -> dict[str, Any]:
    path = directory / META
    try:
        content = load_yaml(read_file(str(path)).decode())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no fields")
    return content


def _status(value: object) -> str:
    if value in STATUS.values():
        return str(value)  # MLflow's first versions wrote the name
    if type(value) is not int or value not in STATUS:
        raise ValueError(f"status: got {value!r}; accepted: 1 to 5, MLflow's numbers")
    return STATUS[value]


def _time(value: object) -> datetime:
    if type(value) is not int or not 0 <= value < 10**14:
        raise ValueError(f"start_time or end_time: got {value!r}; accepted: milliseconds since 1970")
    return _EPOCH + timedelta(milliseconds=value)


def _files(run_path: Path, kind: str) -> Iterator[tuple[str, str]]:
    """Yield the name that each file below a directory of a run stands for, and its path; nothing where there is none.

    Raises:
        OSError: The directory is a link that leads out of the run.
    """
    top = str(directory_inside(run_path, kind))
    for folder, folders, names in os.walk(top):
        folders.sort()
        prefix = "" if folder == top else folder[len(top) + 1 :].replace(os.sep, "/") + "/"
        for name in sorted(names):
            yield prefix + name, f"{folder}{os.sep}{name}"


def _text(path: str) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 ({error.reason})") from None


def _points(path: str) -> list[Point]:
    """Return a metric's values, sorted as MLflow sorts them, the last of each step only."""
    content = read_file(path, MOST_LINES_BYTES)
    with contextlib.suppress(ValueError):
        if (found := _sorted_points(content)) is not None:
            return found
    points: list[Point] = []
    is_sorted = True
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            timestamp, value, *rest = line.decode().split()
            step = int(rest[0]) if rest else 0
            is_sorted = is_sorted and (not points or points[-1].step < step)
            points.append(Point(step, int(timestamp), float(value)))
            if max(abs(step), abs(points[-1].timestamp_ms)) >= MOST_STEP:
                raise ValueError
        except ValueError:
            raise ValueError(f"{path}, line {number}: got {line[:80]!r}; accepted: TIMESTAMP VALUE STEP") from None
    if not points:
        raise ValueError(f"{path}: holds no value")
    return points if is_sorted else list({point.step: point for point in sorted(points, key=_order)}.values())


def _sorted_points(content: bytes) -> list[Point] | None:
    """Return the values of a file whose steps rise and whose lines have three fields; None for any other file.

    Raises:
        ValueError: A field is not a number.
    """
    if not THREE_FIELDS.fullmatch(content):
        return None
    fields = content.split()
    steps = [int(field) for field in fields[2::3]]
    times = [int(field) for field in fields[::3]]
    if not all(map(operator.lt, steps, steps[1:])) or max(steps[-1], *times) >= MOST_STEP:
        return None
    return [*map(Point, steps, times, map(float, fields[1::3]))]


def _order(point: Point) -> tuple[int, int, float]:
    return point.step, point.timestamp_ms, -math.inf if math.isnan(point.value) else point.value
