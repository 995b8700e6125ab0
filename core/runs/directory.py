"""One run's directory: its state while it runs, what it ran on, and finding it again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from core.config.errors import ConfigError, nearest
from core.runs.files import write_json
from core.runs.status import RunState, run_state
from core.utils.signals import RunInterrupted

if sys.platform != "win32":
    import fcntl

STATUS_SCHEMA = "pyml.status/1"
HEARTBEAT_EVERY_S = 20.0
RUN_ID = re.compile(r"\d{8}T\d{12}Z_[0-9a-f]{6}")

State = Literal["running", "finished", "failed", "interrupted"]


def now() -> str:
    """Return the time as files hold it: UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class RunStatus:
    """Keeps a run's status.json true while the block runs: a heartbeat, and at the end how it ended.

    An exception that leaves the block makes the state "failed" with its reason; Ctrl-C, SIGTERM and RunInterrupted
    make it "interrupted". The heartbeat is a thread's: a long step does not make the run look dead.
    """

    def __init__(self, run_path: Path) -> None:
        self._path = run_path / "status.json"
        self._fields: dict[str, Any] = {
            "schema": STATUS_SCHEMA,
            "state": "running",
            "reason": None,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "step": None,
            "n_steps_total": None,
            "started_at": _started_at(run_path) or now(),
            "heartbeat_at": now(),
            "finished_at": None,
        }
        self._directory: int | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pyml-heartbeat", daemon=True)

    def progress(self, step: int, n_steps_total: int) -> None:
        """Note how far training is; the next heartbeat writes it."""
        self._fields.update(step=step, n_steps_total=n_steps_total)

    def __enter__(self) -> RunStatus:
        self._lock_directory()
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        state, reason = how_it_ended(error)
        self._fields.update(state=state, reason=reason, finished_at=now())
        try:
            self._write()
        except OSError:
            if error is None:  # else what ended the run is the thing to report
                raise
        finally:
            if self._directory is not None:
                os.close(self._directory)  # gives the lock back

    def _lock_directory(self) -> None:
        """Keep a second process from training in the same run; the system gives the lock back however this one ends."""
        if sys.platform == "win32":
            return
        self._directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._directory)
            raise ConfigError(f"{self._path.parent}: another process is training in this run; stop it first.") from None
        except OSError:  # a file system without locks: the heartbeat has to do
            return

    def _write(self) -> None:
        with self._lock:
            self._fields["heartbeat_at"] = now()
            write_json(self._path, self._fields)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_EVERY_S):
            with contextlib.suppress(OSError):  # a full disk must not end the training; the next beat tries again
                self._write()


def _started_at(run_path: Path) -> str | None:
    """Return when the run began, where it goes on."""
    return run_status(run_path).started_at


def how_it_ended(error: BaseException | None) -> tuple[State, str | None]:
    """Return the state and the reason that status.json gives for a block that ended with ``error``."""
    if error is None:
        return "finished", None
    if isinstance(error, RunInterrupted):
        return "interrupted", str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "Ctrl-C"
    return "failed", f"{type(error).__name__}: {error}"


def run_status(run_path: Path) -> RunState:
    """Read how a run ended, or that it still runs: a run that was killed says "running" and is found dead."""
    try:
        content = json.loads((run_path / "status.json").read_bytes())
    except (OSError, ValueError):
        content = None
    return run_state(content if isinstance(content, dict) else None)


def run_ids(experiments_dir: Path) -> list[str]:
    """Return the ids of the runs in a directory, oldest first; none where it does not exist."""
    try:
        with os.scandir(experiments_dir) as entries:
            return sorted(entry.name for entry in entries if RUN_ID.fullmatch(entry.name) and entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"experiments directory {experiments_dir} cannot be read ({error.strerror}).") from None


def resolve_run(spec: str, experiments_dir: Path) -> Path:
    """Return the run directory that a path, a run id, a unique prefix of one, or ``latest`` names.

    Raises:
        ConfigError: No run, or more than one, answers to the name.
    """
    ids = run_ids(experiments_dir)
    if spec == "latest":
        if not ids:
            raise ConfigError(f"{experiments_dir}: holds no run yet. Try: pyml-train, or --experiments-dir DIR.")
        return experiments_dir / ids[-1]
    with contextlib.suppress(OSError):  # a name too long for a path is no path
        if (Path(spec) / "config.json").is_file() or (Path(spec) / "status.json").is_file():
            return Path(spec)
    matches = [run_id for run_id in ids if run_id.startswith(spec)] if spec else []
    if spec in matches or len(matches) == 1:
        return experiments_dir / (spec if spec in matches else matches[0])
    if matches:
        listed = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
        raise ConfigError(f"run {spec!r} is ambiguous: {len(matches)} runs begin so ({listed}). Give more of the id.")
    raise ConfigError(
        f"no run {spec!r} in {experiments_dir} ({len(ids)} runs) and no run directory of that name."
        f"{nearest(spec, ids)} Accepted: a path, a run id, a unique prefix of one, or latest."
    )
