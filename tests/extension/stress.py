"""Cycles of everything that a meter does, for the sanitizers and for memory: ``python tests/extension/stress.py N``.

Prints a JSON line. ``make sanitize`` runs it with an extension that was built with ASan and UBSan, or TSan.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import resource
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from core.utils.meters import Meter


def cycle(engine: str, i: int, array: np.ndarray) -> None:
    """Create, update, pickle, merge and drop meters."""
    one = Meter(engine=engine)
    one.update(x=0.5 + i)
    one.update(x=array)
    total = pickle.loads(pickle.dumps(one))
    total.merge(one)
    assert total.count("x") == 2 * one.count("x")


def long_cycle(engine: str, i: int, array: np.ndarray) -> None:
    """Create, update in every way, merge, read, pickle, reset and drop meters."""
    one, other = Meter(engine=engine), Meter("x", "y", pairs=[("x", "y")], engine=engine)
    one.update(x=0.5 + i, y=i)
    one.update({"z": [1, 2.5, np.float32(3)]}, n=1)
    one.update(x=array)
    other.update(x=array, y=array[::-1])
    other.update(x=2**70, y=-(2**70))
    with contextlib.suppress(TypeError):
        one.update(x="text")
    total = Meter.merge_all([one, one])
    total.merge(pickle.loads(pickle.dumps(one)))
    assert total.count("x") == 3 * one.count("x")
    assert Meter.from_state_dict(other.state_dict(), engine=engine) == other
    total.results()
    total.reset()


class Reentrant(Mapping[str, object]):
    """A mapping whose items change the meter that is reading them."""

    def __init__(self, meter: Meter, do: str) -> None:
        self.meter, self.do = meter, do

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __getitem__(self, _name: str) -> object:
        meter = self.meter
        actions = {
            "reset": meter.reset,
            "update": lambda: meter.update(x=1.0, other=[1.0] * 100),
            "merge": lambda: meter.merge(meter),
            "read": meter.results,
        }
        actions[self.do]()
        return ArrayLike(actions[self.do])


class ArrayLike:
    """A value whose conversion runs an action."""

    def __init__(self, action: object) -> None:
        self.action = action

    def __array__(self, *_args: object, **_options: object) -> np.ndarray:
        self.action()  # type: ignore[operator]  # a function of the meter
        return np.array([1.0, 2.0])


def reenter(engine: str) -> None:
    """Change a meter from within its own update."""
    for do in ("reset", "update", "merge", "read"):
        meter = Meter(engine=engine)
        meter.update(x=[1.0, 2.0])
        meter.update(Reentrant(meter, do))
        assert meter.count("x") >= 2


def share(engine: str, n: int) -> None:
    """Update, read and merge one meter from four threads; nothing is lost."""
    meter, large = Meter(engine=engine), np.ones(20_000)

    def work() -> None:
        for _ in range(n):
            meter.update(x=1.0)
            meter.update(x=large)
            meter.mean("x")
            Meter(engine=engine).merge(meter)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.count("x") == 4 * n * 20_001
    assert meter.mean("x") == 1.0


def memory_kb() -> int:
    """Return the memory of this process that is in use, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Run ``N`` cycles, at most ``SECONDS``, with each engine; check that memory stays constant.

    Of many cycles, every tenth is a long one; of a few, each.
    """
    n, most_s = int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1e9
    array, long_every = np.linspace(-1, 1, 50), 10 if n > 10_000 else 1

    def do(engine: str, i: int) -> None:
        (cycle if i % long_every else long_cycle)(engine, i, array)

    for engine in sys.argv[3:] or ("c++", "python"):
        for i in range(min(n, 2000) // 2):
            do(engine, i)
        reenter(engine)
        share(engine, 5)
        before_kb, start_s, done = memory_kb(), time.monotonic(), 0
        while done < n and time.monotonic() - start_s < most_s:
            do(engine, done)
            done += 1
            if done % 10_000 == 0:
                reenter(engine)
        grown_kb = memory_kb() - before_kb
        print(json.dumps({"engine": engine, "cycles": done, "grown_kb": grown_kb, "pid": os.getpid()}), flush=True)
        assert grown_kb < 4096 or "asan" in os.environ.get("LD_PRELOAD", ""), f"memory grew by {grown_kb} KiB"


if __name__ == "__main__":
    main()
