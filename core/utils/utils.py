"""Timer; and, re-exported from :mod:`core.runs`, what makes run directories."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from core.runs.config_file import save_config_to_json
from core.runs.directory import create_experiment_subdir, generate_run_id
from core.utils.formatting import format_duration

if TYPE_CHECKING:
    from core.utils.records import ScalarResult

__all__ = ["Timer", "create_experiment_subdir", "generate_run_id", "save_config_to_json", "wait_for_gpu"]

Function = TypeVar("Function", bound=Callable[..., Any])


class Timer:
    """Times a block or a function; each use is one observation, in seconds, of an exact Meter.

    One timer may be used again, nested, recursively and from several threads. A use that ends with an exception is
    no observation: it did not do what is timed. As a decorator it takes functions and coroutine functions::

        timer = Timer("epoch")
        for _ in range(5):
            with timer:
                ...
        print(timer)                # epoch: (1.203 ± 0.012) s  (n = 5)

    Args:
        name: What is timed; it is only printed.
        sync: Whether to wait for the GPU, where one is in use, when the clock starts and before it stops: without
            it, work that was only enqueued is not counted.
    """

    def __init__(self, name: str = "", *, sync: bool = False) -> None:
        from core.utils.meters import Meter

        self.name = name
        self.sync = sync
        self._meter = Meter("seconds")
        self._starts = threading.local()
        self._last_s: float | None = None

    @property
    def last_s(self) -> float:
        """Seconds of the use that ended last; NaN before the first has."""
        return float("nan") if self._last_s is None else self._last_s

    def result(self) -> ScalarResult:
        """Return the mean time of a use and its standard error, in seconds."""
        return self._meter.result("seconds")

    def __enter__(self) -> Timer:
        self._stack().append(self._now_s())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        start_s = self._stack().pop()
        if kind is None:
            self._observe(start_s)

    def __call__(self, function: Function) -> Function:
        """Return the function, timed at each call."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def timed(*args: Any, **kwargs: Any) -> Any:
                # Interleaved coroutines share a thread: the start is kept here, not on the thread's stack.
                start_s = self._now_s()
                returned = await function(*args, **kwargs)
                self._observe(start_s)
                return returned

        else:

            @functools.wraps(function)
            def timed(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return timed  # type: ignore[return-value]

    def __str__(self) -> str:
        result = self.result()
        text = format_duration(result.mean, result.error)
        return f"{self.name + ': ' if self.name else ''}{text}  (n = {result.n})"

    def _stack(self) -> list[float]:
        if not hasattr(self._starts, "stack"):
            self._starts.stack = []
        stack: list[float] = self._starts.stack
        return stack

    def _now_s(self) -> float:
        if self.sync:
            wait_for_gpu()
        return time.perf_counter()

    def _observe(self, start_s: float) -> None:
        elapsed_s = self._now_s() - start_s
        self._meter.update(seconds=elapsed_s)
        self._last_s = elapsed_s


def wait_for_gpu() -> None:
    """Wait until the GPU has done what was enqueued; without torch in use, or without a GPU, do nothing."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
