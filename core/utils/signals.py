"""Handle Ctrl-C and SIGTERM as requests to stop: at once, or at the next safe point."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from core.utils.output import say


class RunInterrupted(BaseException):
    """A run was asked to stop. Like KeyboardInterrupt it is not an Exception: ``except Exception`` does not catch it.

    Attributes:
        exit_code: 130 for Ctrl-C, 143 for SIGTERM: what the shell would report for the signal.
    """

    def __init__(self, reason: str, exit_code: int = 130) -> None:
        self.exit_code = exit_code
        super().__init__(reason)


def interruption(number: int) -> RunInterrupted:
    """Return the RunInterrupted that a signal stands for."""
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    return RunInterrupted(f"interrupted by {name}", 128 + number)


#: Signals that ask a run to stop with a checkpoint: Ctrl-C, a closed terminal, what Slurm and other schedulers send.
STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


@contextlib.contextmanager
def stopping_blocked() -> Iterator[None]:
    """Deliver the signals of ``STOPPING`` after the block, so that they interrupt nothing in it.

    A program that is started in the block starts with these signals blocked.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopSignals:
    """While the block runs, record SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 as a request to stop.

    After the first signal, ``requested`` returns it. The code in the block calls ``requested`` at safe points, saves
    its state and raises what it got. A second signal raises at once. With ``deferred=False`` the first one raises,
    too. A signal that is ignored, as SIGHUP is under nohup, stays ignored. Outside the main thread this does nothing,
    because Python handles signals in the main thread only.

    The handler prints nothing: a write to a pipe that nobody reads would raise or block inside it.

    Args:
        deferred: Whether the first signal is a request, rather than an exception.
        echo_s: For this many seconds after the first signal, further signals are ignored. torchrun sends Ctrl-C to its
            processes a second time, after they have received it from the terminal.
    """

    def __init__(self, *, deferred: bool = True, echo_s: float = 0.0) -> None:
        self._deferred, self._echo_s = deferred, echo_s
        self._received: RunInterrupted | None = None
        self._received_s = 0.0
        self._is_announced = False
        self._previous: dict[int, Any] = {}

    def requested(self, *, announce: bool = True) -> RunInterrupted | None:
        """Return the RunInterrupted to raise, or None if no signal came; the first time, say that the run stops."""
        if announce and self._received is not None and not self._is_announced:
            self._is_announced = True
            say(f"\n{self._received}: stopping with a checkpoint. Press Ctrl-C to stop at once.", err=True)
        return self._received

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        is_first = self._received is None
        if not is_first and time.monotonic() < self._received_s + self._echo_s:
            return
        self._received, self._received_s = interruption(number), time.monotonic()
        if not (self._deferred and is_first):
            raise self._received


class RunTerminated(RunInterrupted, SystemExit):
    """SIGTERM ended a run. Where nothing catches it, Python exits with code 143 and prints no traceback."""

    def __init__(self) -> None:
        super().__init__("interrupted by SIGTERM", 128 + signal.SIGTERM)
        self.code = self.exit_code


class TerminatesRun:
    """While the block runs, SIGTERM raises RunTerminated, so that a run can write how it ended.

    A handler that somebody else has installed stays. Outside the main thread this does nothing, because Python handles
    signals in the main thread only.
    """

    def __init__(self) -> None:
        self._is_installed = False

    def __enter__(self) -> TerminatesRun:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._owner = os.getpid()
            signal.signal(signal.SIGTERM, self._terminate)
            self._is_installed = True
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._is_installed and threading.current_thread() is threading.main_thread():
            self._is_installed = False
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _terminate(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() == self._owner:
            raise RunTerminated
        signal.signal(number, signal.SIG_DFL)  # a forked process, such as one that loads data, ends as usual
        os.kill(os.getpid(), number)
