"""The named values of runs that conditions test, lists sort by, and columns show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from core.utils.results import ResultMetadata
from results.conditions import AnyOf
from results.moments import Seconds, read_time, span_text
from results.run import Run

MISSING = object()
VERSIONS = ("model version", "dataset version")
PROTOCOL = "protocol."
ABOUT_MEASURES = ("n_steps", "n_samples", "unit")


def _started(run: Run) -> object:
    return read_time(run.status.started_at) or MISSING


def _finished(run: Run) -> object:
    return read_time(run.status.finished_at) or MISSING


def ages_s(run: Run, now: datetime | None = None) -> tuple[float | None, float | None]:
    """Return the time since a run started, and from its start to its end, or until now if it runs; None if unknown.

    Pauses count: a run that was interrupted and resumed has the start of its first part.
    """
    status = run.status
    started, now = read_time(status.started_at), now or datetime.now(UTC)
    if started is None:
        return None, None
    age = max((now - started).total_seconds(), 0.0)
    if status.state == "running":
        return age, age
    ended = read_time(status.finished_at)
    return age, None if ended is None else max((ended - started).total_seconds(), 0.0)


def _seconds(found: float | None) -> object:
    return MISSING if found is None else Seconds(found)


OF_RUNS: Mapping[str, Callable[[Run], object]] = {
    "id": lambda run: run.id,
    "status": lambda run: run.status.state,
    "reason": lambda run: MISSING if run.status.reason is None else run.status.reason,
    "started": _started,
    "finished": _finished,
    "duration": lambda run: _seconds(ages_s(run)[1]),
    "age": lambda run: _seconds(ages_s(run)[0]),
    "tag": lambda run: AnyOf(run.tags.tags) if run.tags.tags else MISSING,
    "note": lambda run: run.tags.note or MISSING,
    "archived": lambda run: run.tags.archived,
}


def config_value(run: Run, name: str) -> object:
    """Return a run's value of a config field or of a plugin's version; MISSING if it has none."""
    return run.versions().get(name, MISSING) if name in VERSIONS else run.config.get(name, MISSING)


def protocol_value(run: Run, name: str) -> object:
    """Return the values of a protocol field in a run's current results; MISSING if none has it."""
    found = [
        getattr(metadata, name) if name in ABOUT_MEASURES else dict(metadata.protocol)[name]
        for metadata in run.current_measures
        if name in protocol_names([metadata])
    ]
    return AnyOf(dict.fromkeys(found)) if found else MISSING


def protocol_names(measures: Iterable[ResultMetadata]) -> dict[str, None]:
    """Return the names in the protocols of these measures, and n_steps, n_samples and unit where they are given."""
    names: dict[str, None] = {}
    for metadata in measures:
        names.update(dict.fromkeys(name for name, _ in metadata.protocol))
        names.update({name: None for name in ABOUT_MEASURES if getattr(metadata, name) is not None})
    return names


def as_text(value: Any) -> Any:
    """Return a value as a cell shows it: times to the minute, lengths of time in words."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return span_text(value) if isinstance(value, Seconds) else value
