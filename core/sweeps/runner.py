"""The process that runs a sweep: it holds the sweep's file "runner", so that there is one at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.config.errors import ConfigError
from core.runs.files import read_file
from core.sweeps.sweep import Sweep

if sys.platform != "win32":
    import fcntl


@contextmanager
def held(sweep: Sweep) -> Iterator[None]:
    """Hold the sweep while the block runs, so that one process at a time starts its jobs.

    Raises:
        ConfigError: Another process holds it.
    """
    with (sweep.path / "runner").open("a+") as file:
        if not _lock_soon(file.fileno()):
            raise _is_held(sweep, _holder(sweep))
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def check_free(sweep: Sweep) -> None:
    """Raise ConfigError if a process of this machine holds the sweep."""
    if (pid := runner_pid(sweep)) is not None:
        raise _is_held(sweep, pid)


def _is_held(sweep: Sweep, pid: int | None) -> ConfigError:
    return ConfigError(
        f"sweep {sweep.name!r} is being run by another process ({pid or 'unknown'}). See: "
        f"pyml sweep status {sweep.name}. Stop it with: pyml sweep cancel {sweep.name}."
    )


def runner_pid(sweep: Sweep) -> int | None:
    """Return the process that runs the sweep on this machine, or None if none does."""
    try:
        file = (sweep.path / "runner").open("r+")
    except OSError:
        return None
    with file:
        return None if _lock(file.fileno()) else _holder(sweep)


def _holder(sweep: Sweep) -> int | None:
    try:
        return int(read_file(str(sweep.path / "runner")))
    except (OSError, ValueError):
        return None


def _lock_soon(descriptor: int) -> bool:
    """Take the lock, or return False. A process that asks who has it takes it for some microseconds."""
    for _ in range(10):
        if _lock(descriptor):
            return True
        time.sleep(0.01)
    return False


def _lock(descriptor: int) -> bool:
    """Take the lock, which the system gives back when the file is closed; False if another process has it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: only the status files of the runs show which of them are running
        return True
    return True
