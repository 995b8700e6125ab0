"""One process at a time trains in a run: with flock, without it, and when the other process is on another host."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config.errors import ConfigError
from core.runs import Run, training_lock
from core.runs.status import RunStatus, run_status
from core.runs.training_lock import LOCK_FILE, TrainingLock, read_holder
from core.utils.signals import RunInterrupted

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def held_elsewhere(path: Path, beats: int = 7) -> None:
    """Write the lock of a process on another host."""
    fields = {
        "schema": "pyml.lock/1",
        "host": "node2",
        "pid": 4711,
        "process": "b/n/5",
        "token": "ab12",
        "beats": beats,
    }
    (path / LOCK_FILE).write_text(json.dumps(fields))


def watching(change: Callable[[int], None] = lambda _seconds: None) -> "tuple[list[float], Callable[[float], None]]":
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        change(len(waited))

    return waited, wait


def test_the_lock_is_removed_at_the_end(tmp_path: Path) -> None:
    with RunStatus(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()
    assert not (tmp_path / LOCK_FILE).exists()


@pytest.mark.usefixtures("no_flock")
def test_without_flock_the_lock_file_keeps_a_second_process_out(tmp_path: Path) -> None:
    with RunStatus(tmp_path), pytest.raises(ConfigError, match=r"process \d+ on host .* is training in this run"):
        RunStatus(tmp_path).__enter__()
    with RunStatus(tmp_path):
        assert run_status(tmp_path).state == "running"


@pytest.mark.usefixtures("no_flock")
def test_force_does_not_take_over_from_a_process_that_is_seen_to_live(tmp_path: Path) -> None:
    with RunStatus(tmp_path), pytest.raises(ConfigError, match="is training in this run; stop it first"):
        RunStatus(tmp_path, force=True).__enter__()


KILLED = """
import fcntl, errno, os, signal, sys
def refuse(*_): raise OSError(errno.ENOLCK, "No locks available")
if sys.argv[2] == "without": fcntl.flock = refuse
from core.runs.status import RunStatus
RunStatus(sys.argv[1]).__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("flock", ["with", "without"])
def test_the_lock_of_a_killed_process_is_taken_over_at_once(
    tmp_path: Path, flock: str, request: pytest.FixtureRequest
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), flock], cwd=ROOT, check=False)
    if flock == "without":
        request.getfixturevalue("no_flock")
    before = read_holder(tmp_path / LOCK_FILE)
    assert before is not None
    with RunStatus(tmp_path):
        holder = read_holder(tmp_path / LOCK_FILE)
        assert holder is not None
        assert (holder.pid, holder.token == before.token) == (os.getpid(), False)


def test_a_process_of_another_host_that_beats_is_left_alone(tmp_path: Path) -> None:
    held_elsewhere(tmp_path)
    waited, wait = watching(lambda n: held_elsewhere(tmp_path, beats=8) if n == 20 else None)
    with pytest.raises(ConfigError, match=r"process 4711 on host node2 is training .* take over with --force"):
        TrainingLock(tmp_path, wait=wait).acquire()
    assert sum(waited) == 20
    assert read_holder(tmp_path / LOCK_FILE).token == "ab12"  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize("clock_s", [-86_400, 0, 86_400])
def test_a_process_of_another_host_that_does_not_beat_is_replaced_whatever_its_clock_said(
    tmp_path: Path, clock_s: int
) -> None:
    held_elsewhere(tmp_path)
    now = (tmp_path / LOCK_FILE).stat().st_mtime
    os.utime(tmp_path / LOCK_FILE, (now + clock_s, now + clock_s))
    waited, wait = watching()
    lock = TrainingLock(tmp_path, wait=wait)
    lock.acquire()
    assert sum(waited) == training_lock.WATCH_S
    assert read_holder(tmp_path / LOCK_FILE).pid == os.getpid()  # type: ignore[union-attr]  # it is there
    lock.release()


def test_force_takes_over_at_once_and_the_other_process_stops_when_it_notices(tmp_path: Path) -> None:
    status = RunStatus(tmp_path)
    status.__enter__()
    held_elsewhere(tmp_path)  # as if it were the lock of this process, seen from a third host
    waited, wait = watching()
    taking = TrainingLock(tmp_path, force=True, wait=wait)
    taking._flock = lambda: False  # type: ignore[method-assign]  # a host for which flock says nothing
    taking.acquire()
    assert waited == []
    written = (tmp_path / "status.json").read_bytes()
    status._training_lock.beat()
    with pytest.raises(RunInterrupted, match="another process has taken this run over"):
        status.progress(3)
    status.__exit__(None, None, None)
    assert (tmp_path / "status.json").read_bytes() == written
    assert read_holder(tmp_path / LOCK_FILE) is not None
    taking.release()
    assert read_holder(tmp_path / LOCK_FILE) is None


def test_of_two_processes_that_take_over_one_succeeds(tmp_path: Path) -> None:
    held_elsewhere(tmp_path)

    def other_is_first(n: int) -> None:
        if n == training_lock.WATCH_S:  # both have watched to the end
            (tmp_path / f".{LOCK_FILE}.ab12.taken").touch()

    lock = TrainingLock(tmp_path, wait=watching(other_is_first)[1])
    with pytest.raises(ConfigError, match="another process is taking this run over"):
        lock.acquire()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"host": []}', b"\xff" * 100, b"[" * 100_000])
def test_a_damaged_lock_file_is_watched_like_that_of_another_host(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK_FILE).write_bytes(content)
    waited, wait = watching()
    TrainingLock(tmp_path, wait=wait).acquire()
    assert sum(waited) == training_lock.WATCH_S


def test_beats_are_counted_in_place(tmp_path: Path) -> None:
    lock = TrainingLock(tmp_path)
    lock.acquire()
    before, inode = read_holder(tmp_path / LOCK_FILE), (tmp_path / LOCK_FILE).stat().st_ino
    lock.beat()
    after = read_holder(tmp_path / LOCK_FILE)
    assert before is not None
    assert after is not None
    assert (after.beats, after.token) == (before.beats + 1, before.token)
    assert (tmp_path / LOCK_FILE).stat().st_ino == inode
    lock.release()


def test_a_run_of_ones_own_can_be_taken_over(tmp_path: Path) -> None:
    with Run({"lr": 0.1}, path=tmp_path / "run"):
        pass
    held_elsewhere(tmp_path / "run")
    with Run.resume(tmp_path / "run", force=True) as run:
        assert run.step is None
