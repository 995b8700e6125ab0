"""Time how long a meter call blocks the host of a training loop while the GPU is busy.

Each round queues a few milliseconds of matrix products and then updates a meter with a tensor that they compute. A call
that needs the values immediately, such as ``.item()`` in most meters, makes the host wait for the products;
``Meter.update`` does not. The results are compared bit for bit with those of the same values on the CPU.

Usage: python benchmarks/meter_cuda.py [ROUNDS]        needs a CUDA device
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from core.utils.meters import Meter

SIZES = [1, 1024, 1 << 20]
N_PRODUCTS = 20


def products(matrix: torch.Tensor) -> torch.Tensor:
    """Keep the device busy."""
    for _ in range(N_PRODUCTS):
        matrix = matrix @ matrix / matrix.shape[0] ** 0.5
    return matrix


def host_seconds(call: Callable[[torch.Tensor], object], size: int, rounds: int) -> float:
    """Return the median time of ``call`` with a tensor that is not computed yet."""
    matrix = torch.randn(2048, 2048, device="cuda")
    times = []
    for _ in range(rounds + 3):
        values = products(matrix).flatten()[:size] if size > 1 else products(matrix)[0, 0]
        start = time.perf_counter()
        call(values)
        times.append(time.perf_counter() - start)
        torch.cuda.synchronize()
    return statistics.median(times[3:])  # the first rounds allocate pinned memory


def agrees_with_cpu(size: int) -> bool:
    """Return whether values on the device and the same values on the CPU give the same state."""
    on_device, on_cpu = Meter(), Meter()
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        values = torch.randn(size, device="cuda").to(dtype)
        on_device.update(x=values, y=values[::2])
        on_cpu.update(x=values.cpu(), y=values.cpu()[::2])
    return on_device.state_dict() == on_cpu.state_dict()


def main(rounds: int) -> None:
    if not torch.cuda.is_available():
        sys.exit("meter_cuda.py needs a CUDA device; there is none here")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, engine {Meter().engine}, {rounds} rounds")
    print(f"{'values':>9} {'Meter.update':>14} {'to the host first':>18}  same bits as on the CPU")
    for size in SIZES:
        meter, waiting = Meter("loss"), Meter("loss")
        metered = host_seconds(lambda values, meter=meter: meter.update(loss=values), size, rounds)
        waited = host_seconds(lambda values, meter=waiting: meter.update(loss=values.cpu()), size, rounds)
        print(f"{size:>9,} {metered * 1e6:>11.1f} us {waited * 1e6:>15.1f} us  {agrees_with_cpu(size)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
