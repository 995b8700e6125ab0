"""How processes that train together learn that one of them failed, and end with its reason.

They share a store, which torchrun keeps. A process that fails writes its reason there before it ends. One that was
killed cannot: the others see that it is gone. A thread in each process looks once a second, because the process itself
may wait for the one that failed.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore, Store

from core.utils.output import say
from core.utils.signals import RunInterrupted

LOOK_EVERY_S = 1.0
STUCK_AFTER_S = 10.0  # torchrun kills what does not end within 30 s
REASON_WITHIN_S = 5.0  # a connection breaks before the system has removed the process that was killed
OF_A_CONNECTION = re.compile(r"gloo|nccl|connection|socket|peer|timed out|broken pipe", re.IGNORECASE)


class RankError(RuntimeError):
    """Another process of the training failed; the message says which one and why."""


class Failures:
    """The first failure among the processes that train together.

    Args:
        store: The store that they share.
        rank: Number of this process, from 0.
        world_size: Number of processes.

    Attributes:
        is_reported: Whether the others know how this process failed, or one of them failed first.
        is_stopping: Whether all processes have agreed to stop, so that an interruption is no failure.
        on_stuck: Called with the reason before a process is ended that waits for one that failed.
    """

    def __init__(self, store: Store, rank: int, world_size: int) -> None:
        self._store = PrefixStore("pyml", store)
        self._rank, self._world_size = rank, world_size
        self.is_reported = self.is_stopping = False
        self.on_stuck: Callable[[BaseException], None] = lambda _error: None
        self._store.set(f"process/{rank}", f"{_machine()} {os.getpid()}")
        places = (self._store.get(f"process/{each}").decode().rpartition(" ") for each in range(world_size))
        here = {each: int(pid) for each, (machine, _, pid) in enumerate(places) if machine == _machine()}
        self._others_here = {each: pid for each, pid in here.items() if each != rank}

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """End this process if another one fails and this one does not leave the block after that."""
        left = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(left,), name="pyml-ranks", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            left.set()
            watcher.join()
            with contextlib.suppress(RuntimeError):  # torchrun has ended, and the store with it
                self._store.set(f"left/{self._rank}", "")

    @contextlib.contextmanager
    def reported(self) -> Iterator[None]:
        """Tell the others of an error that leaves the block, unless it comes from a failure of one of them.

        Raises:
            RankError: Another process failed first.
        """
        try:
            yield
        except BaseException as error:
            if isinstance(error, RankError) or (self.is_stopping and isinstance(error, RunInterrupted)):
                self.is_reported = True
                raise
            if (reason := self._reason_of_others(error)) is not None:
                self.is_reported = True
                raise RankError(reason) from error
            self._announce(error)
            raise

    def _announce(self, error: BaseException) -> None:
        kind = "" if isinstance(error, RunInterrupted) else f"{type(error).__name__}: "
        with contextlib.suppress(RuntimeError):
            self._store.compare_set("failure", "", f"{self._rank} {kind}{error}")
            self.is_reported = True

    def _reason_of_others(self, error: BaseException) -> str | None:
        """Return why another process failed if the error may come from that, else None."""
        if type(error) is not RuntimeError and not isinstance(error, distributed.DistError):
            return None
        deadline_s = time.monotonic() + (REASON_WITHIN_S if OF_A_CONNECTION.search(str(error)) else 0)
        while True:
            with contextlib.suppress(RuntimeError):
                if (reason := self._found()) is not None:
                    return reason
            if time.monotonic() > deadline_s:
                return None
            time.sleep(0.1)

    def _found(self) -> str | None:
        """Return which other process failed first and why, or None."""
        if (reason := self._announced()) is not None:
            return reason
        gone = self._gone()
        return None if gone is None else self._announced() or gone  # it may have written its reason in between

    def _announced(self) -> str | None:
        if not self._store.check(["failure"]):
            return None
        rank, _, reason = self._store.get("failure").decode(errors="replace").partition(" ")
        return None if int(rank) == self._rank else f"rank {rank} of {self._world_size} failed: {reason}"

    def _gone(self) -> str | None:
        for rank, pid in self._others_here.items():
            if _is_gone(pid) and not self._store.check([f"left/{rank}"]):
                return (
                    f"rank {rank} of {self._world_size} (process {pid}) ended without a message. It may have been "
                    "killed, for instance because the memory was full."
                )
        return None

    def _watch(self, left: threading.Event) -> None:
        """Look for a failure of another process; end this one if it does not leave the block after that."""
        reason = None
        while reason is None:
            if left.wait(LOOK_EVERY_S):
                return
            try:
                reason = self._found()
            except RuntimeError:  # torchrun has ended; the processes can go on without it
                return
        if left.wait(STUCK_AFTER_S):
            return
        error = RankError(reason)
        try:
            self.on_stuck(error)
            if self._rank == 0:
                say(f"Error: {type(error).__name__}: {error}", err=True)
        finally:
            os._exit(1)


def _machine() -> str:
    """Return what tells machines and containers apart: process ids have a meaning of their own in each."""
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def _is_gone(pid: int) -> bool:
    """Return whether a process of this machine has ended, even if it is still in the process table."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
