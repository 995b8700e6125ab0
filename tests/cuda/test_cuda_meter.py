"""Meters and timers on a real GPU: the same bits as on the CPU, whatever the stream does before and after."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from meter_reference import ENGINES
from torch import Tensor, distributed

from core.utils.meters import Meter
from core.utils.utils import Timer

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLES = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool)


def values_of(dtype: torch.dtype) -> Tensor:
    drawn = torch.randn(1000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 100
    return drawn.to(dtype)


def exact_mean(tensor: Tensor) -> float:
    numbers = [Fraction(value) for value in tensor.double().flatten().tolist()]
    return float(sum(numbers) / len(numbers))


@ENGINES
@pytest.mark.parametrize("dtype", [*FLOATS, *WHOLES], ids=str)
def test_a_gpu_tensor_of_any_dtype_is_metered_exactly(dtype: torch.dtype, new: type[Meter], device: str) -> None:
    tensor = values_of(dtype)
    meter, on_cpu = new(), new()
    meter.update(x=tensor.to(device))
    on_cpu.update(x=tensor)
    assert meter.mean("x") == exact_mean(tensor)
    assert meter.state_dict() == on_cpu.state_dict()


@pytest.mark.parametrize("view", ["transposed", "strided", "expanded", "empty", "scalar", "large"])
def test_any_layout_and_size_is_metered_exactly(view: str, device: str) -> None:
    base = values_of(torch.float32)
    made = {
        "transposed": lambda t: t.T,
        "strided": lambda t: t[::7, 1:],
        "expanded": lambda t: t[:1].expand(50, 3),
        "empty": lambda t: t[:0],
        "scalar": lambda t: t[0, 0],
        "large": lambda t: t.repeat(2000, 1),
    }[view]
    meters = []
    for tensor in (made(base), made(base.to(device))):
        meters.append(Meter())
        meters[-1].update(x=tensor)
    assert meters[0].state_dict() == meters[1].state_dict()


def test_a_tensor_may_be_overwritten_right_after_the_update(device: str, busy_gpu: Tensor) -> None:
    values = busy_gpu[:100].clone()  # computed behind the work that keeps the GPU busy
    meter = Meter()
    meter.update(x=values)
    values.zero_()
    del values
    for _ in range(20):  # memory of the same size, which the allocator may take from it
        torch.full((100, 8192), 7.0, device=device)
    expected = Meter()
    expected.update(x=busy_gpu[:100].cpu())
    assert meter.state_dict() == expected.state_dict()


def test_an_update_on_another_stream_is_read_on_that_stream(device: str) -> None:
    side = torch.cuda.Stream()
    meter = Meter()
    with torch.cuda.stream(side):
        matrix = torch.full((4096, 4096), 1.0, device=device)
        for _ in range(8):
            matrix = matrix @ matrix / 4096
        meter.update(x=matrix[0])
    assert meter.mean("x") == 1.0


def test_many_updates_in_flight_are_all_counted(device: str) -> None:
    meter = Meter()
    for step in range(3000):
        meter.update(loss=torch.full((16,), float(step), device=device), step=step)
    assert (meter.count("loss"), meter.count("step")) == (48_000, 3000)
    assert meter.mean("loss") == meter.mean("step") == 1499.5


def test_a_list_of_gpu_scalars_is_metered(device: str) -> None:
    meter = Meter()
    meter.update(x=[torch.tensor(value, device=device) for value in (0.1, 0.2, 0.3)])
    assert meter.mean("x") == exact_mean(torch.tensor([0.1, 0.2, 0.3]))


def test_a_nan_is_refused_when_it_arrives(device: str) -> None:
    meter = Meter(nan_policy="raise")
    meter.update(x=torch.tensor([1.0, math.nan], device=device))
    with pytest.raises(ValueError, match="NaN"):
        meter.mean("x")
    meter.update(x=torch.tensor([2.0], device=device))
    assert meter.mean("x") == 2.0


@pytest.fixture
def nccl(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone, through NCCL only."""
    distributed.init_process_group("nccl", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_meters_are_reduced_through_nccl(nccl: None, device: str) -> None:
    meter = Meter()
    meter.update(loss=values_of(torch.float32).to(device), accuracy=values_of(torch.float64).to(device) > 0)
    assert meter.all_reduce().state_dict() == meter.state_dict()


def test_a_synchronised_timer_covers_the_work_of_the_gpu(device: str) -> None:
    matrix = torch.randn(4096, 4096, device=device)
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with Timer("matmul", sync=True) as timer:
        start.record()
        for _ in range(20):
            matrix = matrix @ matrix / 64
        end.record()
    assert timer.last_s * 1000 >= start.elapsed_time(end)
