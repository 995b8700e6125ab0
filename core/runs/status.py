"""A run's status.json: its writer, with a heartbeat; and its reader, which finds runs that were killed."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from attrs import frozen

from core.runs.files import Fault, RunFile, read_before_replacing
from core.runs.training_lock import HEARTBEAT_EVERY_S, TrainingLock
from core.utils.formatting import timestamp
from core.utils.signals import RunInterrupted

STATUS = RunFile("status.json", "pyml.status/1")
DEAD_AFTER_S = 6 * HEARTBEAT_EVERY_S
STATES = ("running", "finished", "failed", "interrupted", "dead", "unknown")

State = Literal["running", "finished", "failed", "interrupted"]


class RunStatus:
    """Write a run's status.json while the block runs: a heartbeat every 20 s, and at the end how the block ended.

    An exception that leaves the block makes the state "failed" with its reason; Ctrl-C, SIGTERM and RunInterrupted
    make it "interrupted". The heartbeat is a thread's: a long step does not make the run look dead.
    """

    def __init__(self, run_path: str | Path, *, force: bool = False) -> None:
        self._run_path = Path(run_path)
        self._training_lock = TrainingLock(self._run_path, force=force)
        self._fields: dict[str, Any] = {
            "state": "running",
            "reason": None,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "step": None,
            "n_steps_total": None,
            "started_at": _text(read_before_replacing(STATUS, run_path).get("started_at")) or timestamp(),
            "heartbeat_at": timestamp(),
            "finished_at": None,
        }
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pyml-heartbeat", daemon=True)

    def progress(self, step: int, n_steps_total: int | None = None) -> None:
        """Record the steps done, and the total if given. The next heartbeat writes them.

        Raises:
            RunInterrupted: Another process has taken the run over.
        """
        if self._training_lock.is_lost:
            raise RunInterrupted("another process has taken this run over")
        self._fields["step"] = step
        if n_steps_total is not None:
            self._fields["n_steps_total"] = n_steps_total

    def __enter__(self) -> RunStatus:
        self._training_lock.acquire()
        try:
            self._write()
        except BaseException:
            self._training_lock.release()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        state, reason = how_it_ended(error)
        self._fields.update(state=state, reason=reason, finished_at=timestamp())
        try:
            if not self._training_lock.is_lost:  # the file is the other process's now
                self._write()
        except OSError:
            if error is None:  # the error that ended the run matters more
                raise
        finally:
            self._training_lock.release()

    def _write(self) -> None:
        with self._lock:
            self._fields["heartbeat_at"] = timestamp()
            STATUS.write(self._run_path, self._fields)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_EVERY_S):
            with contextlib.suppress(OSError):  # a full disk must not end the training; the next beat tries again
                self._training_lock.beat()
                if not self._training_lock.is_lost:
                    self._write()


def how_it_ended(error: BaseException | None) -> tuple[State, str | None]:
    """Return the state and the reason that status.json gives for a block that ended with ``error``."""
    if error is None:
        return "finished", None
    if isinstance(error, RunInterrupted):
        return "interrupted", str(error)
    # Frameworks such as Lightning catch Ctrl-C, tidy up and leave by sys.exit(1).
    while_handling = error.__context__ if isinstance(error, SystemExit) else None
    if isinstance(error, KeyboardInterrupt) or isinstance(while_handling, KeyboardInterrupt):
        return "interrupted", "Ctrl-C"
    if isinstance(error, SystemExit) and error.code in {None, 0}:  # sys.exit() at the end of the work
        return "finished", None
    return "failed", f"{type(error).__name__}: {error}"


@frozen
class RunState:
    """The state of a run and its progress.

    Attributes:
        state: "running", "finished", "failed", "interrupted"; "dead" for one that says running but is not; "unknown" if
            there is no status that can be read.
        reason: Why it ended in this state, or why it counts as dead; None if there is no reason to give.
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
        """Return "1,200 of 3,300 steps (36%)", or "" if the steps are unknown."""
        if self.step is None or not self.n_steps_total:
            return ""
        return f"{self.step:,} of {self.n_steps_total:,} steps ({100 * self.step // self.n_steps_total}%)"

    def __str__(self) -> str:
        if self.state == "running":
            return f"running, {self.progress()}" if self.progress() else "running"
        if self.state == "dead":
            return f"dead ({self.reason})"
        return self.state


def run_status(run_path: str | Path) -> RunState:
    """Return the state of a run. A run whose file says "running" but that was killed is "dead"."""
    content = STATUS.read(run_path)
    return run_state(None if isinstance(content, Fault) else content)


def run_state(saved: Mapping[str, Any] | None, now: datetime | None = None) -> RunState:
    """Return the state that the content of status.json gives; None stands for a missing file.

    A run that says "running" is dead if there is no such process on this host, or no heartbeat for two minutes.
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
    get = saved.get
    return RunState(
        state,
        _text(reason),
        _number(get("step")),
        _number(get("n_steps_total")),
        _text(get("started_at")),
        _text(get("finished_at")),
    )


def _number(value: object) -> int | None:
    return value if type(value) is int else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def why_dead(saved: Mapping[str, Any], now: datetime) -> str | None:
    """Return why a run that says "running" cannot be running; None if it may be."""
    pid = saved.get("pid")
    if saved.get("host") == socket.gethostname() and isinstance(pid, int) and not _process_exists(pid):
        return f"no process {pid} on this host"
    try:
        silent_s = (now - datetime.fromisoformat(saved["heartbeat_at"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return "no heartbeat"
    return f"no heartbeat for {_rough(silent_s)}" if silent_s > DEAD_AFTER_S else None


def running_here(saved: Mapping[str, Any]) -> int | None:
    """Return the process of a run that runs on this host, or None."""
    pid = saved.get("pid")
    if saved.get("state") != "running" or saved.get("host") != socket.gethostname() or type(pid) is not int:
        return None
    return pid if _process_exists(pid) else None


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
