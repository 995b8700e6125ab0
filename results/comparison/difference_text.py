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
    if math.isnan(error):
        sign = "+" if difference > 0 else ""
        return f"{sign}{unit.value(test.difference)} [unknown]"
    text, *ends = (cut_at(value, error, "+") for value in (difference, low, high))
    return f"{unit.named(text)} [{', '.join(ends)}]"


def p_text(p_value: float) -> str:
    """Return a p-value in two digits, "< 0.0001" below that, "-" where there is none."""
    if math.isnan(p_value):
        return "-"
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"
