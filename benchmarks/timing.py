"""Medians of interleaved runs: every candidate is timed in every round, so that a slow minute of the machine hits all.

What is timed is the thread's processor time: other processes on the machine do not count, and libraries run on one
thread (peers.py sees to it), or their other threads would not count either.
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SAMPLE_S = 0.005  # a candidate's turn in a round, or one call if that takes longer


@dataclass(frozen=True)
class Candidate:
    """A statement to time, as timeit takes it, with the names in it."""

    name: str
    statement: str
    names: dict[str, Any] = field(repr=False)


def seconds_per_call(candidates: Sequence[Candidate], rounds: int) -> dict[str, float]:
    """Return each candidate's median over the rounds, the cost of an empty loop taken off."""
    with_loop = [Candidate("loop", "pass", {}), *candidates]
    timers = [timeit.Timer(c.statement, timer=time.thread_time, globals=c.names) for c in with_loop]
    numbers = [calls_in(timer, SAMPLE_S) for timer in timers]
    samples: list[list[float]] = [[] for _ in timers]
    for _ in range(rounds):
        for timer, number, times in zip(timers, numbers, samples, strict=True):
            times.append(timer.timeit(number) / number)
    loop, *medians = map(statistics.median, samples)
    return {c.name: median - loop for c, median in zip(candidates, medians, strict=True)}


def calls_in(timer: timeit.Timer, seconds: float) -> int:
    """Return how many calls fill the time, at least 1; warms up on the way."""
    number = 1
    while (elapsed := timer.timeit(number)) < seconds / 4:
        number *= 4
    return max(1, round(number * seconds / elapsed))
