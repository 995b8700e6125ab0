"""Medians of interleaved runs: every candidate is timed in every round, so that a slow minute of the machine hits all.

What is timed is the processor time of one thread. Other processes on the machine do not count; nor would a library's
other threads, so libraries run on one thread: NumPy's by the setting below, torch by peers.py.
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

SAMPLE_S = 0.005  # a candidate's turn in a round, or one call if that takes longer
WORK_S = 3.0  # all turns of all candidates: more rounds than asked for if they take less


@dataclass(frozen=True)
class Candidate:
    """A statement to time, as timeit takes it, with the names in it."""

    name: str
    statement: str
    names: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Times:
    """By candidate: the median seconds a call, and the median of its ratios to the first candidate, round by round."""

    seconds: dict[str, float]
    of_first: dict[str, float]


def interleaved(candidates: Sequence[Candidate], rounds: int, at_least_s: float = WORK_S) -> Times:
    """Time the candidates in so many rounds, or in more if there is time; the cost of an empty loop is taken off."""
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
    """Return how many calls fill the time, at least 1; warms up on the way."""
    number = 1
    while (elapsed := timer.timeit(number)) < seconds / 4:
        number *= 4
    return max(1, round(number * seconds / elapsed))
