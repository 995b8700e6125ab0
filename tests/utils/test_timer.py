"""Timer: every use is one observation, whatever way it is used."""

import asyncio
import contextlib
import contextvars
import math
import sys
import threading
import types
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from core.utils import timer as timing
from core.utils.utils import Timer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test moves by hand."""
    now = [100.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def test_equal_times_print_with_an_unknown_error(clock: list[float]) -> None:
    timer = Timer("epoch")
    for _ in range(3):
        with timer:
            clock[0] += 2.0
    assert str(timer) == "epoch: 2 s ± unknown  (n = 3)"


def test_uses_are_observations_of_a_mean_with_an_error(clock: list[float]) -> None:
    timer = Timer("epoch")
    for seconds in (1.0, 2.0, 3.0):
        with timer:
            clock[0] += seconds
    result = timer.result()
    assert (result.mean, result.n) == (2.0, 3)
    assert result.error == pytest.approx(1 / math.sqrt(3))  # standard deviation 1, three observations
    assert timer.last_s == 3.0
    assert str(timer) == "epoch: (2.00 ± 0.58) s  (n = 3)"


def test_one_timer_nests_in_itself(clock: list[float]) -> None:
    timer = Timer()
    with timer:
        clock[0] += 1
        with timer:
            clock[0] += 2
    assert timer.result().n == 2
    assert timer.result().mean == 2.5  # 2 s inside, 3 s outside


def test_a_decorated_function_may_call_itself(clock: list[float]) -> None:
    timer = Timer()

    @timer
    def countdown(n: int) -> int:
        """Count down."""
        clock[0] += 1
        return n if n == 0 else countdown(n - 1)

    assert countdown(2) == 0
    assert countdown.__doc__ == "Count down."
    assert timer.result().mean == 2.0  # 1, 2 and 3 s


def test_interleaved_coroutines_keep_their_own_starts(clock: list[float]) -> None:
    timer = Timer()

    @timer
    async def wait(turns: int) -> None:
        for _ in range(turns):
            clock[0] += 1
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(wait(1), wait(3))

    asyncio.run(both())
    assert timer.result().n == 2


def test_blocks_of_staggered_coroutines_keep_their_own_starts(clock: list[float]) -> None:
    timer = Timer()

    async def first(second_began: asyncio.Event, ended: asyncio.Event) -> None:
        with timer:
            clock[0] += 1
            await second_began.wait()
        ended.set()

    async def second(began: asyncio.Event, first_ended: asyncio.Event) -> None:
        with timer:
            clock[0] += 4
            began.set()
            await first_ended.wait()
            clock[0] += 8

    async def both() -> None:
        began, ended = asyncio.Event(), asyncio.Event()
        await asyncio.gather(first(began, ended), second(began, ended))

    asyncio.run(both())
    # Begun first, ended first: the first took 1 + 4 s, the second 4 + 8 s.
    assert (timer.result().mean, timer.last_s) == (8.5, 12.0)


def test_a_use_that_ends_in_another_context_says_so() -> None:
    timer = Timer("step")
    contextvars.copy_context().run(timer.__enter__)
    with pytest.raises(RuntimeError, match=r"Timer 'step' ends in another task"):
        timer.__exit__(None, None, None)
    assert timer.result().n == 0


def test_a_generator_is_timed_inside_and_until_its_end(clock: list[float]) -> None:
    timer = Timer()

    @timer
    def batches() -> Generator[int, str, str]:
        for batch in range(3):
            clock[0] += 1
            assert (yield batch) == "next"
        clock[0] += 0.5
        return "done"

    def consume() -> Iterator[int]:
        running = batches()
        got = next(running)
        with contextlib.suppress(StopIteration):
            while True:
                yield got
                clock[0] += 100  # the caller's own work between two values
                got = running.send("next")

    assert list(consume()) == [0, 1, 2]
    assert (timer.result().n, timer.last_s) == (1, 3.5)


@pytest.mark.parametrize("closed", [True, False])
def test_a_generator_observes_its_own_time_unless_it_is_closed_early(clock: list[float], closed: bool) -> None:
    timer, cleaned = Timer(), []

    @timer
    def values() -> Iterator[int]:
        try:
            for value in range(3):
                clock[0] += 1
                yield value
        finally:
            cleaned.append(True)

    running = values()
    for value in running:
        clock[0] += 100
        if closed and value == 1:
            running.close()  # type: ignore[attr-defined]
    assert cleaned == [True]
    assert timer.result().n == (0 if closed else 1)
    assert math.isnan(timer.last_s) if closed else timer.last_s == 3.0


def test_values_sent_and_errors_thrown_reach_a_timed_generator(clock: list[float]) -> None:
    timer = Timer()

    @timer
    def echo() -> Generator[Any, Any, str]:
        received = yield "ready"
        try:
            yield received
        except ValueError as error:
            yield str(error)
        return "end"

    running = echo()
    assert next(running) == "ready"
    assert running.send("hello") == "hello"
    assert running.throw(ValueError("no")) == "no"
    with pytest.raises(StopIteration, match="end"):
        next(running)
    assert timer.result().n == 1


def test_an_async_generator_is_timed_inside_and_until_its_end(clock: list[float]) -> None:
    timer = Timer()

    @timer
    async def values() -> AsyncIterator[int]:
        for value in range(3):
            clock[0] += 1
            await asyncio.sleep(0)
            yield value

    async def consume(most: int) -> list[int]:
        got = []
        running = values()
        async for value in running:
            got.append(value)
            clock[0] += 100
            if len(got) == most:
                await running.aclose()  # type: ignore[attr-defined]
        return got

    assert asyncio.run(consume(2)) == [0, 1]
    assert timer.result().n == 0
    assert asyncio.run(consume(9)) == [0, 1, 2]
    assert (timer.result().n, timer.last_s) == (1, 3.0)


def test_the_timer_of_a_decorated_function_is_its_attribute(clock: list[float]) -> None:
    @Timer("step")
    def step(seconds: float) -> float:
        clock[0] += seconds
        return seconds

    @Timer
    def bare(seconds: float) -> float:
        clock[0] += seconds
        return seconds

    assert (step(2.0), bare(3.0)) == (2.0, 3.0)
    assert (step.timer.last_s, step.timer.name) == (2.0, "step")
    assert bare.timer.last_s == 3.0
    assert bare.timer.name.endswith("bare")
    assert bare.__name__ == "bare"


def test_a_name_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"Timer: got 3 \(int\); accepted: a name, such as Timer\('epoch'\)"):
        Timer(3)  # type: ignore[call-overload]


def test_a_timer_prints_what_it_knows(clock: list[float]) -> None:
    timer = Timer("epoch")
    assert str(timer) == "epoch: not used yet"
    for seconds in (0.1, 0.3):
        with timer:
            clock[0] += seconds
    assert str(timer) == "epoch: (200 ± 100) ms  (n = 2)"  # standard deviation 0.1414, two observations


def test_threads_do_not_mix_their_starts() -> None:
    timer = Timer()
    gate = threading.Barrier(4)

    def work() -> None:
        for _ in range(50):
            with timer:
                gate.wait()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert timer.result().n == 200


def test_a_use_that_fails_is_no_observation(clock: list[float]) -> None:
    timer = Timer()

    def fail() -> None:
        with timer:
            clock[0] += 5
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    with timer:
        clock[0] += 1
    assert (timer.result().mean, timer.result().n) == (1.0, 1)


def test_a_timer_that_was_not_used_knows_nothing() -> None:
    assert math.isnan(Timer().last_s)
    assert math.isnan(Timer().result().mean)


@pytest.mark.parametrize(("sync", "waits"), [(True, [1, 3, 1, 3]), (False, [])])
def test_sync_waits_for_all_gpus_in_use_before_each_reading_of_the_clock(
    monkeypatch: pytest.MonkeyPatch, sync: bool, waits: list[int]
) -> None:
    waited_for: list[int] = []
    cuda = types.SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: True,
        device_count=lambda: 4,
        current_device=lambda: 1,
        memory_reserved=lambda index: 2**20 if index == 3 else 0,
        synchronize=waited_for.append,
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    with Timer(sync=sync):
        pass
    assert waited_for == waits


def test_sync_without_a_gpu_does_nothing() -> None:
    with Timer(sync=True) as timer:
        pass
    assert timer.result().n == 1


def test_static_and_class_methods_stay_what_they_are(clock: list[float]) -> None:
    class Model:
        @Timer("static")
        @staticmethod
        def load(seconds: float) -> float:
            clock[0] += seconds
            return seconds

        @Timer
        @classmethod
        def name(cls) -> str:
            clock[0] += 2
            return cls.__name__

    assert (Model.load(1.0), Model().load(3.0), Model.name(), Model().name()) == (1.0, 3.0, "Model", "Model")
    assert repr(Model.load.timer) == "<Timer static: (2.0 ± 1.0) s  (n = 2)>"  # type: ignore[attr-defined]
    assert Model.name.timer.result().mean == 2.0  # type: ignore[attr-defined]
