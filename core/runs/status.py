"""Whether a run still runs: what status.json says, held against the clock and the machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

DEAD_AFTER_S = 120.0  # heartbeats come every 20 s
STATES = ("running", "finished", "failed", "interrupted", "dead", "unknown")


@frozen
class RunState:
    """How a run is doing.

    Attributes:
        state: "running", "finished", "failed", "interrupted"; "dead" for one that says running but is not; "unknown"
            where there is no status to read.
        reason: Why it ended so, or why it is taken for dead; None where there is nothing to say.
        step: Training steps done, or None.
        n_steps_total: Training steps to do, or None.
        started_at: ISO 8601, UTC, or None.
        finished_at: ISO 8601, UTC, or None.
    """

    state: str
    reason: str | None = None
    step: int | None = None
    n_steps_total: int | None = None
    started_at: str | None = None
    finished_at: str | None = None

    def progress(self) -> str:
        """Return "1,200 of 3,300 steps (36%)", or "" where it is not known."""
        if self.step is None or not self.n_steps_total:
            return ""
        return f"{self.step:,} of {self.n_steps_total:,} steps ({100 * self.step // self.n_steps_total}%)"

    def __str__(self) -> str:
        if self.state == "running":
            return f"running, {self.progress()}" if self.progress() else "running"
        if self.state == "dead":
            return f"dead ({self.reason})"
        return self.state


def run_state(saved: Mapping[str, Any] | None, now: datetime | None = None) -> RunState:
    """Interpret the content of status.json (None where there is none).

    A run that says "running" is dead without such a process on this host, or without a heartbeat for two minutes.
    """
    if saved is None:
        return RunState("unknown", "no status.json that can be read")
    state = saved.get("state")
    if state not in STATES:
        return RunState("unknown", f"status.json says {state!r}")
    reason = saved.get("reason")
    if state == "running":
        why = why_dead(saved, now or datetime.now(UTC))
        if why:
            state, reason = "dead", why
    step, n_steps_total = (_number(saved.get(name)) for name in ("step", "n_steps_total"))
    started_at, finished_at = (_text(saved.get(name)) for name in ("started_at", "finished_at"))
    return RunState(state, _text(reason), step, n_steps_total, started_at, finished_at)


def _number(value: object) -> int | None:
    return value if type(value) is int else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def why_dead(saved: Mapping[str, Any], now: datetime) -> str | None:
    """Return why a run that says it runs does not, or None if it may well run."""
    pid = saved.get("pid")
    if saved.get("host") == socket.gethostname() and isinstance(pid, int) and not _process_exists(pid):
        return f"no process {pid} on this host"
    try:
        silent_s = (now - datetime.fromisoformat(saved["heartbeat_at"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return "no heartbeat"
    return f"no heartbeat for {_rough(silent_s)}" if silent_s > DEAD_AFTER_S else None


def _rough(seconds: float) -> str:
    for unit, scale in (("days", 86_400.0), ("h", 3_600.0)):
        if seconds >= 2 * scale:
            return f"{seconds / scale:.0f} {unit}"
    return f"{seconds / 60:.0f} min"


def _process_exists(pid: int) -> bool:
    if pid <= 0:
        return False
    if os.name == "nt":  # there, os.kill(pid, 0) would end the process; the heartbeat decides alone
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
