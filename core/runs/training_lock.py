"""The lock of a training session: one process at a time trains in a run, on file systems without locks as well.

There are two locks. The first is ``flock`` on the run directory, which the system releases when a process ends. Some
file systems do not have it, or only between processes of one host. The second is the file ``training.lock``, with the
host, the process and a count that grows with every heartbeat. A process on another host counts as dead if its count
does not change while we watch. Clocks are not used, because they may differ between hosts.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from core.config.errors import ConfigError
from core.runs import strict_json
from core.runs.files import RefusedFileError, read_file, write_atomic
from core.utils.output import printable, say

if sys.platform != "win32":
    import fcntl

LOCK_FILE = "training.lock"
LOCK_SCHEMA = "pyml.lock/1"
HEARTBEAT_EVERY_S = 20.0
WATCH_S = 3 * HEARTBEAT_EVERY_S + 5


@frozen
class Holder:
    """The content of training.lock, which describes the process that trains.

    Attributes:
        host: Host name.
        pid: Process id on that host.
        process: Identifies the process: boot, process namespace and start time; "" if unknown.
        token: Random text, a new one for each session.
        beats: Heartbeats so far.
    """

    host: str
    pid: int
    process: str
    token: str
    beats: int = 0

    def is_here(self) -> bool:
        """Return whether the process is or was one of this boot of this machine."""
        place, ours = self.process.rpartition("/")[0], _process(os.getpid()).rpartition("/")[0]
        return self.host == socket.gethostname() and place == ours

    def is_alive_here(self) -> bool | None:
        """Return whether the process runs on this machine; None where that cannot be known."""
        if not self.is_here():
            return None
        return _process(self.pid) == self.process if self.process else None

    def __str__(self) -> str:
        return printable(f"process {self.pid} on host {self.host}")


class TrainingLock:
    """Hold the right to train in a run, from ``acquire`` to ``release``.

    Args:
        run_path: The run directory.
        force: Take over from a process of another host without watching its heartbeat.
        wait: Waits for some seconds; tests pass their own.

    Attributes:
        is_lost: Whether another process has taken over since.
    """

    def __init__(self, run_path: Path, *, force: bool = False, wait: Callable[[float], None] = time.sleep) -> None:
        self._path, self._run_path = run_path / LOCK_FILE, run_path
        self._force, self._wait = force, wait
        self._mine = Holder(socket.gethostname(), os.getpid(), _process(os.getpid()), os.urandom(8).hex())
        self._directory: int | None = None
        self.is_lost = False

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            ConfigError: Another process trains in this run, or is about to.
        """
        has_flock = self._flock()
        try:
            while not self._create():
                holder = read_holder(self._path)
                if holder is None:  # released just now
                    continue
                self._check_is_gone(holder, has_flock)
                self._replace(holder)
                return
        except BaseException:
            self._close()
            raise

    def beat(self) -> None:
        """Count a heartbeat, and notice if another process has taken over."""
        holder = read_holder(self._path)
        if holder is None or holder.token != self._mine.token:
            self.is_lost = True
            return
        self._mine = evolve(self._mine, beats=self._mine.beats + 1)
        descriptor = os.open(self._path, os.O_WRONLY)
        try:
            os.write(descriptor, _encoded(self._mine))  # in place: on a network file system others see it at once
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Give the lock up."""
        with contextlib.suppress(OSError):
            holder = read_holder(self._path)
            if holder is not None and holder.token == self._mine.token:
                self._path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._directory is not None:
            os.close(self._directory)  # releases the flock
            self._directory = None

    def _flock(self) -> bool:
        """Lock the directory and return whether its file system has locks."""
        if sys.platform == "win32":
            return False
        self._directory = os.open(self._run_path, os.O_RDONLY)
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            raise ConfigError(f"{self._run_path}: another process is training in this run; stop it first.") from None
        except OSError:  # a file system without locks
            return False
        return True

    def _create(self) -> bool:
        """Create the lock file and return True, or return False if there is one."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, _encoded(self._mine))
        finally:
            os.close(descriptor)
        return True

    def _check_is_gone(self, holder: Holder, has_flock: bool) -> None:
        """Raise ConfigError unless the holder has ended, or its heartbeat stops while we watch."""
        is_alive = holder.is_alive_here()
        if is_alive:
            raise ConfigError(f"{self._run_path}: {holder} is training in this run; stop it first.")
        if is_alive is False or self._force or (holder.is_here() and has_flock):
            return
        say(f"Watching for {WATCH_S:.0f} s whether {holder} still trains in this run; --force skips this.", err=True)
        for _ in range(int(WATCH_S)):
            self._wait(1.0)
            if read_holder(self._path) != holder:
                raise ConfigError(
                    f"{self._run_path}: {holder} is training in this run. Stop it first, or take over with --force."
                )

    def _replace(self, holder: Holder) -> None:
        """Replace the lock of a holder that has ended. If several processes try, only one succeeds."""
        claim = self._path.with_name(f".{LOCK_FILE}.{holder.token}.taken")
        try:
            os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            if not self._force:
                raise ConfigError(
                    f"{self._run_path}: another process is taking this run over. If none is, use --force."
                ) from None
        try:
            if read_holder(self._path) not in {holder, None}:
                raise ConfigError(f"{self._run_path}: another process has taken this run over.")
            write_atomic(self._path, _encoded(self._mine))
        finally:
            claim.unlink(missing_ok=True)


def read_holder(path: Path) -> Holder | None:
    """Return what a lock file says, None if there is none. One that cannot be understood has an unknown holder.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        content = read_file(str(path))
    except FileNotFoundError:
        return None
    except RefusedFileError:
        return Holder("?", 0, "", "damaged")
    try:
        fields: Any = strict_json.loads(content.decode())
        texts = [str(fields[name]) for name in ("host", "process", "token")]
        token = "".join(filter(str.isalnum, texts[2]))[:32]  # it becomes part of a file's name
        return Holder(texts[0], int(fields["pid"]), texts[1], token, int(fields["beats"]))
    except (LookupError, TypeError, ValueError):
        return Holder("?", 0, content[:200].hex(), "damaged")


def is_held_here(run_path: str | Path) -> bool:
    """Return whether a process of this machine trains in the run."""
    with contextlib.suppress(OSError):
        holder = read_holder(Path(run_path) / LOCK_FILE)
        return holder is not None and holder.is_alive_here() is True
    return False


def _encoded(holder: Holder) -> bytes:
    """Return the content of the file; its size does not change with the count."""
    fields = {"schema": LOCK_SCHEMA, "host": holder.host, "pid": holder.pid, "process": holder.process}
    return f"{json.dumps({**fields, 'token': holder.token, 'beats': holder.beats}):<400}\n".encode()


def _process(pid: int) -> str:
    """Return ``<boot>/<namespace>/<start time>`` of a process on Linux; "" if there is none or it cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").readlink()
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot}/{namespace}/{started}"
