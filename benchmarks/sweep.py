"""Time what a sweep adds to its runs: 20 runs of the model identity, which does almost nothing.

    python benchmarks/sweep.py

Each measurement is a complete process, from its start to its end. A sweep of 20 runs minus one of 2 gives the cost of
18 more runs; the rest is paid once: Python starts, and torch is imported. For comparison, the same runs are started one
by one with pyml-train. The aim is at most 1.5 s a run, or 0.3 s where torch is imported once.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FEW, MANY = 2, 20


def timed(*arguments: str) -> float:
    """Return the seconds that a command of this package takes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "core", *arguments], check=True, cwd=ROOT, env=environment, capture_output=True
    )
    return time.perf_counter() - start_s


def sweep_s(n_runs: int) -> float:
    """Return the seconds that a sweep of identity runs takes."""
    with tempfile.TemporaryDirectory() as directory:
        return timed("sweep", "--model", "identity", f"seed=0..{n_runs - 1}", "--experiments-dir", directory)


def main() -> None:
    rows = [(sweep_s(FEW), sweep_s(MANY)) for _ in range(3)]
    few_s, many_s = (statistics.median(column) for column in zip(*rows, strict=True))
    with tempfile.TemporaryDirectory() as directory:
        alone_s = statistics.median(timed("train", "--experiments-dir", directory) for _ in range(3))
    print(f"sweep of {MANY} runs                     {many_s:6.2f} s")
    print(f"  a run, with everything             {many_s / MANY:6.2f} s")
    print(f"  a run more                         {(many_s - few_s) / (MANY - FEW):6.2f} s")
    print(f"pyml-train, one run                  {alone_s:6.2f} s")


if __name__ == "__main__":
    main()
