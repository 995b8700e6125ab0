"""CUDA tensors, with a stand-in for stream and event: what waits, what lands when, and that nothing is lost."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from meter_reference import ENGINES, check

from core.meter import transfers
from core.meter.transfers import Arriving


class StandIn:
    """A device whose copies arrive when they are told to; until then the host's memory holds garbage."""

    def __init__(self) -> None:
        self.copies: list[Copy] = []

    def copy_to_host(self, tensor: torch.Tensor) -> Arriving:
        copy = Copy(tensor.as_subclass(torch.Tensor))
        self.copies.append(copy)
        return Arriving(copy.host, copy)

    @property
    def waits(self) -> int:
        return sum(copy.waits for copy in self.copies)


class Copy:
    """One copy, and the event behind it."""

    def __init__(self, source: torch.Tensor) -> None:
        self.source = source.clone()  # what the stream will have read, whatever becomes of the tensor
        self.host = torch.full_like(source, 77)
        self.waits = 0
        self.done = False

    def arrive(self) -> None:
        self.host.copy_(self.source)
        self.done = True

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        if not self.done:
            self.waits += 1
            self.arrive()


class CudaTensor(torch.Tensor):
    """A CPU tensor that says it is on a CUDA device."""

    @property
    def is_cuda(self) -> bool:
        return True


def on_device(data, dtype=torch.float32) -> torch.Tensor:
    return torch.tensor(data, dtype=dtype).as_subclass(CudaTensor)


@pytest.fixture
def device(monkeypatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(transfers, "copy_to_host", stand_in.copy_to_host)
    return stand_in


@ENGINES
def test_an_update_does_not_wait_and_a_read_out_does(new, device) -> None:
    meter = new()
    meter.update(loss=on_device([1.0, 2.0, 6.0]))
    meter.update(loss=5.0)
    assert device.waits == 0
    check(meter, "loss", [1.0, 2.0, 6.0, 5.0])
    assert device.waits == 1


@ENGINES
@pytest.mark.parametrize(
    "read",
    [
        lambda meter: meter.mean("x"),
        lambda meter: meter.error("x"),
        lambda meter: meter.count("x"),
        lambda meter: meter.max("x"),
        lambda meter: meter.result("x"),
        lambda meter: meter.results()["x"],
        lambda meter: meter.state_dict()["measures"]["x"],
        lambda meter: meter.all_reduce().count("x"),
        lambda meter: str(meter),
        lambda meter: (meter + meter).count("x"),
    ],
)
def test_every_reading_waits_for_the_rest(new, device, read) -> None:
    meter, plain = new(), new()
    meter.update(x=on_device([1.0, 2.0]))
    plain.update(x=[1.0, 2.0])
    assert read(meter) == read(plain)
    assert device.waits == 1


@ENGINES
def test_a_merge_waits_for_both(new, device) -> None:
    a, b = new(), new()
    a.update(x=on_device([1.0]))
    b.update(x=on_device([2.0]))
    a.merge(b)
    check(a, "x", [1.0, 2.0])
    check(b, "x", [2.0])


@ENGINES
def test_copies_that_have_arrived_are_folded_in_by_the_next_update(new, device) -> None:
    meter = new()
    for i in range(5):
        meter.update(x=on_device([float(i)]))
    assert len(meter._intake.transfers) == 5
    device.copies[0].arrive()
    device.copies[1].arrive()
    device.copies[3].arrive()  # in order: it stays behind the third
    meter.update(x=on_device([5.0]))
    assert len(meter._intake.transfers) == 4
    assert device.waits == 0
    check(meter, "x", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])


@ENGINES
def test_an_update_waits_for_the_oldest_where_too_much_is_in_flight(new, device, monkeypatch) -> None:
    monkeypatch.setattr(transfers, "MOST_BYTES", 4000)
    meter = new()
    for i in range(10):
        meter.update(x=on_device([float(i)] * 250))  # 1000 bytes each
        assert device.waits == max(0, i - 3)
        assert len(meter._intake.transfers) == min(i + 1, 4)
    assert meter.mean("x") == 4.5
    meter.update(x=on_device([1.0] * 2000))
    assert (len(meter._intake.transfers), device.waits) == (0, 11)


def test_64_mib_may_be_in_flight() -> None:
    assert transfers.MOST_BYTES == 64 * 2**20


@ENGINES
def test_a_tensor_overwritten_after_the_update_was_read_before(new, device) -> None:
    """The copy is on the stream that wrote the tensor; arrays of the same call are copied at once."""
    meter = new()
    tensor, array = on_device([1.0, 2.0]), np.array([3.0, 4.0])
    meter.update(x=tensor, y=array)
    tensor.fill_(9.0)
    array[:] = 9.0
    check(meter, "x", [1.0, 2.0])
    check(meter, "y", [3.0, 4.0])


@ENGINES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool])
def test_dtypes_and_scalars_come_from_a_device_exactly(new, device, dtype) -> None:
    meter = new()
    meter.update(x=on_device(1, dtype), n=3)
    meter.update(x=on_device([[0, 1], [1, 0]], dtype))
    check(meter, "x", [1, 0, 1, 1, 0], [3, 1, 1, 1, 1])


@ENGINES
def test_every_kind_of_value_may_travel_with_a_tensor(new, device) -> None:
    meter = new()
    meter.update(x=on_device(2.0), y=2**70, z=0.5, n=2)
    meter.update(x=on_device([2.0]), y=[1, 2**70], z=[])
    check(meter, "x", [2.0, 2.0], [2, 1])
    check(meter, "y", [2**70, 1, 2**70], [2, 1, 1])
    check(meter, "z", [0.5], [2])


@ENGINES
def test_what_can_be_refused_is_refused_at_the_update(new, device) -> None:
    meter = new("x")
    with pytest.raises(ValueError, match=r"x.*n=2.*drop n"):
        meter.update(x=on_device([1.0]), n=2)
    with pytest.raises(KeyError, match="'y'"):
        meter.update(x=on_device([1.0]), y=1.0)
    with pytest.raises(TypeError, match=r"x.*complex"):
        meter.update(x=on_device([1.0], torch.complex64))
    assert device.copies == []


@ENGINES
def test_raise_is_raised_at_the_next_read_out_and_the_update_is_dropped_whole(new, device) -> None:
    meter = new(nan_policy="raise")
    meter.update(x=on_device([1.0]))
    meter.update(x=on_device([math.nan]), y=2.0)
    meter.update(x=on_device([3.0]))
    with pytest.raises(ValueError, match=r"x: got 1 NaN.*raise"):
        meter.mean("x")
    check(meter, "x", [1.0, 3.0])
    assert list(meter.results()) == ["x"]


@ENGINES
def test_a_nan_that_landed_in_an_update_is_raised_at_the_next_read_out(new, device) -> None:
    meter = new(nan_policy="raise")
    meter.update(x=on_device([math.nan]))
    device.copies[0].arrive()
    meter.update(x=on_device([2.0]))
    with pytest.raises(ValueError, match="x: got 1 NaN"):
        meter.state_dict()
    check(meter, "x", [2.0])


@ENGINES
def test_a_reset_drops_what_is_in_flight(new, device) -> None:
    meter = new("x")
    meter.update(x=on_device([1.0]))
    meter.reset()
    assert (meter.count("x"), device.waits) == (0, 0)


@ENGINES
def test_updates_in_flight_keep_no_meter_alive(new, device) -> None:
    meter = new()
    meter.update(x=on_device([1.0]))
    alive = weakref.ref(meter), weakref.ref(device.copies[-1])
    device.copies.clear()
    gc.disable()
    try:
        del meter
        assert [each() for each in alive] == [None, None]
    finally:
        gc.enable()


@ENGINES
def test_tensors_of_other_devices_are_brought_by_torch(new) -> None:
    class Elsewhere(torch.Tensor):
        def cpu(self):
            return torch.tensor([1.0, 2.0])

    meter = new()
    meter.update(x=torch.zeros(2).as_subclass(Elsewhere))
    check(meter, "x", [1.0, 2.0])
