"""A difference with its interval, and a p-value, as text."""

from __future__ import annotations

import math

from results.comparison.significance import ReplicateTest
from results.text.durations import Unit
from results.text.numbers import cut_at


def difference_with_interval(test: ReplicateTest, unit: Unit) -> str:
    """Return "+0.024 [+0.010, +0.038]", cut by the standard error's digits; of a time, with its unit."""
    difference, error, low, high = (
        value / unit.scale for value in (test.difference, test.error, test.ci_low, test.ci_high)
    )
    if math.isnan(error) or math.isnan(low):
        sign = "+" if difference > 0 else ""
        return f"{sign}{unit.value(test.difference)} [unknown]"
    finest = next((cut for cut in _finer(error) if all(float(cut_at(end, cut)) for end in (low, high))), error)
    text, *ends = (cut_at(value, finest, "+") for value in (difference, low, high))
    return f"{unit.named(text)} [{', '.join(ends)}]"


def _finer(error: float) -> list[float]:
    """Return lengths to cut at: an end that rounds to 0 would hide on which side of 0 the interval lies."""
    return [error, error / 10, error / 100, error / 1000]


def p_text(p_value: float, level: float = 0.95) -> str:
    """Return a p-value in two digits, "< 0.0001" below that, "-" where there is none.

    It has more digits where two would not say on which side of 1 - level it lies.
    """
    if math.isnan(p_value):
        return "-"
    if p_value < 1e-4:
        return "< 0.0001"
    alpha = round(1 - level, 12)
    texts = (f"{p_value:.{digits}g}" for digits in range(2, 9))
    telling = (text for text in texts if (float(text) - alpha) * (p_value - alpha) > 0)
    return next(telling, f"{p_value:.2g}")
