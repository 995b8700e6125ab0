"""Medians of interleaved timings: each round times every candidate, so that a slow period of the machine affects all.

The timer measures the processor time of one thread. It excludes other processes, but also other threads of a library.
Libraries must therefore run on one thread: NumPy by the setting below, and torch by a setting in peers.py.
"""

from __future__ import annotations

import os
import statistics
import time
import timeit
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported: import this module first

SAMPLE_S = 0.005  # time per candidate and round; at least one call
WORK_S = 3.0  # shortest total time; more rounds are added until it is reached


@dataclass(frozen=True)
class Candidate:
    """A statement to time with timeit, and the names that it uses."""

    name: str
    statement: str
    names: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Times:
    """For each candidate: the median seconds per call, and the median ratio to the first candidate of a round."""

    seconds: dict[str, float]
    of_first: dict[str, float]


def interleaved(candidates: Sequence[Candidate], rounds: int, at_least_s: float = WORK_S) -> Times:
    """Time the candidates for at least ``rounds`` rounds and ``at_least_s`` seconds, less the time of an empty loop."""
    with_loop = [Candidate("loop", "pass", {}), *candidates]
    timers = [timeit.Timer(c.statement, timer=time.thread_time, globals=c.names) for c in with_loop]
    numbers = [calls_in(timer, SAMPLE_S) for timer in timers]
    samples: list[list[float]] = []
    start = time.perf_counter()
    while len(samples) < rounds or time.perf_counter() - start < at_least_s:
        loop, *calls = (timer.timeit(number) / number for timer, number in zip(timers, numbers, strict=True))
        samples.append([call - loop for call in calls])
    names = [c.name for c in candidates]
    by_candidate = list(zip(*samples, strict=True))
    seconds = {name: statistics.median(times) for name, times in zip(names, by_candidate, strict=True)}
    ratios = [statistics.median(a / b for a, b in zip(x, by_candidate[0], strict=True)) for x in by_candidate]
    return Times(seconds, dict(zip(names, ratios, strict=True)))


def calls_in(timer: timeit.Timer, seconds: float) -> int:
    """Return the number of calls that take this time, at least 1. The calls made here also warm up the caches."""
    number = 1
    while (elapsed := timer.timeit(number)) < seconds / 4:
        number *= 4
    return max(1, round(number * seconds / elapsed))
