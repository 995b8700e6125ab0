"""Timer: every use is one observation, whatever way it is used."""

import asyncio
import math
import sys
import threading
import types

import pytest

from core.utils import utils
from core.utils.utils import Timer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test moves by hand."""
    now = [100.0]
    monkeypatch.setattr(utils.time, "perf_counter", lambda: now[0])
    return now


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


@pytest.mark.parametrize(("sync", "waits"), [(True, 2), (False, 0)])
def test_sync_waits_for_the_gpu_before_each_reading_of_the_clock(
    monkeypatch: pytest.MonkeyPatch, sync: bool, waits: int
) -> None:
    calls: list[int] = []
    cuda = types.SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, synchronize=lambda: calls.append(1)
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    with Timer(sync=sync):
        pass
    assert len(calls) == waits


def test_sync_without_a_gpu_does_nothing() -> None:
    with Timer(sync=True) as timer:
        pass
    assert timer.result().n == 1
