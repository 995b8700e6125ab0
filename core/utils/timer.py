"""Timer: the mean time of a block or a function, with its standard error."""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from core.utils.formatting import format_duration

if TYPE_CHECKING:
    from core.utils.records import ScalarResult

Function = TypeVar("Function", bound=Callable[..., Any])

#: The uses that are running in this thread or task, innermost last. A context variable, because coroutines that take
#: turns in one thread each have a context of their own. One for all timers: context variables are never freed.
_RUNNING: ContextVar[tuple[tuple[Timer, float], ...]] = ContextVar("running timers", default=())


class Timer:
    """Measure how long a block or a function takes; each use is one observation, in seconds, of an exact Meter.

    As a context manager::

        timer = Timer("epoch")
        for _ in range(5):
            with timer:
                ...
        print(timer)                # epoch: (1.203 ± 0.012) s  (n = 5)

    As a decorator, of functions, coroutines, generators and asynchronous generators::

        @Timer("step")              # or @Timer: the name is then the function's
        def step(batch): ...

        print(step.timer)

    For a generator, only the time spent inside it counts, not the time between two of its values. This time is one
    observation when the generator ends. A use that ends with an exception, or a generator that is closed early, is not
    counted. One timer may be used again, nested, recursively, from several threads and from several coroutines.

    Args:
        name: What is timed. It is only printed.
        sync: Whether to wait for the GPUs that this process uses, if any, before each reading of the clock. Without
            it, work that was only enqueued is not counted.

    Raises:
        TypeError: ``name`` is neither a string nor, as by ``@Timer``, a function.
    """

    @overload
    def __new__(cls, name: str = "", *, sync: bool = False) -> Timer: ...
    @overload
    def __new__(cls, name: Function) -> Function: ...  # type: ignore[misc] # mypy wants an instance; checkers see both
    def __new__(cls, name: Any = "", *, sync: bool = False) -> Any:
        """Return a timer, or, given a function (as by ``@Timer`` without brackets), that function timed."""
        if inspect.isroutine(name):
            return cls(name.__qualname__, sync=sync)(name)
        if not isinstance(name, str):
            raise TypeError(f"Timer: got {name!r} ({type(name).__name__}); accepted: a name, such as Timer('epoch')")
        self = super().__new__(cls)
        self._start(name, sync)
        return self

    def _start(self, name: str, sync: bool) -> None:  # no __init__: type checkers would take its signature for @Timer's
        from core.utils.meters import Meter

        self.name = name
        self.sync = sync
        self._meter = Meter("seconds")
        self._last_s: float | None = None

    @property
    def last_s(self) -> float:
        """Seconds of the use that ended last; NaN before the first has."""
        return float("nan") if self._last_s is None else self._last_s

    def result(self) -> ScalarResult:
        """Return the mean time of a use and its standard error, in seconds."""
        return self._meter.result("seconds")

    def __enter__(self) -> Timer:
        _RUNNING.set((*_RUNNING.get(), (self, self._now_s())))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        running = _RUNNING.get()
        mine = [index for index, (timer, _) in enumerate(running) if timer is self]
        if mine:
            _RUNNING.set(running[: mine[-1]] + running[mine[-1] + 1 :])
        if kind is not None:
            return
        if not mine:
            raise RuntimeError(
                f"Timer {self.name!r} ends in another task or context than it began in; put the whole `with` block "
                "into one task, or decorate the function"
            )
        self._observe(self._now_s() - running[mine[-1]][1])

    def __call__(self, function: Function) -> Function:
        """Return the function, timed at each call; the attribute ``timer`` of what is returned is this timer."""
        if isinstance(function, staticmethod | classmethod):  # @Timer above @staticmethod: the method stays one
            return type(function)(self(function.__func__))
        if inspect.isasyncgenfunction(function):
            timed: Any = self._time_async_generator(function)
        elif inspect.isgeneratorfunction(function):
            timed = self._time_generator(function)
        elif inspect.iscoroutinefunction(function):

            async def timed(*args: Any, **kwargs: Any) -> Any:
                start_s = self._now_s()
                returned = await function(*args, **kwargs)
                self._observe(self._now_s() - start_s)
                return returned

        else:

            def timed(*args: Any, **kwargs: Any) -> Any:
                start_s = self._now_s()
                returned = function(*args, **kwargs)
                self._observe(self._now_s() - start_s)
                return returned

        timed = functools.wraps(function)(timed)
        timed.timer = self
        return timed  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<Timer {self}>"

    def __str__(self) -> str:
        result = self.result()
        text = f"{format_duration(result.mean, result.shown_error())}  (n = {result.n})" if result.n else "not used yet"
        return f"{self.name}: {text}" if self.name else text

    def _time_generator(self, function: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            generator = function(*args, **kwargs)
            resume, sent, spent_s = generator.send, None, 0.0
            while True:
                start_s = self._now_s()
                try:
                    item = resume(sent)
                except StopIteration as end:
                    self._observe(spent_s + self._now_s() - start_s)
                    return end.value
                spent_s += self._now_s() - start_s
                try:
                    resume, sent = generator.send, (yield item)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:  # the caller's throw() goes to the function, as without a timer
                    resume, sent = generator.throw, error

        return timed

    def _time_async_generator(self, function: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
        async def timed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            generator = function(*args, **kwargs)
            resume, sent, spent_s = generator.asend, None, 0.0
            while True:
                start_s = self._now_s()
                try:
                    item = await resume(sent)
                except StopAsyncIteration:
                    self._observe(spent_s + self._now_s() - start_s)
                    return
                spent_s += self._now_s() - start_s
                try:
                    resume, sent = generator.asend, (yield item)
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as error:
                    resume, sent = generator.athrow, error

        return timed

    def _now_s(self) -> float:
        if self.sync:
            wait_for_gpu()
        return time.perf_counter()

    def _observe(self, elapsed_s: float) -> None:
        self._meter.update(seconds=elapsed_s)
        self._last_s = elapsed_s


def wait_for_gpu() -> None:
    """Wait until the GPUs of this process have done what was enqueued; do nothing if torch or no GPU is in use."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return
    current = torch.cuda.current_device()
    for index in range(torch.cuda.device_count()):
        # To wait for a GPU that this process has not used would take some of its memory.
        if index == current or torch.cuda.memory_reserved(index):
            torch.cuda.synchronize(index)
