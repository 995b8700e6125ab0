"""Wilson's interval of a proportion that one run measured, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results.text.numbers import decimals_of


def is_proportion(kind: str, fields: Mapping[str, Any]) -> bool:
    """Return whether a result has Wilson's interval: declared a proportion, in 0..1, of a known number of observations.

    Args:
        kind: The kind of the measure, as its metadata say.
        fields: The fields of its ScalarResult.
    """
    return kind == "proportion" and bool(fields["n"]) and 0 <= fields["mean"] <= 1


def interval_of(mean: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of Wilson's interval of a proportion of n observations."""
    from results.statistics.proportions import wilson_interval  # NumPy and SciPy: paid by those who print one

    found = wilson_interval(mean * n, n, level)
    return float(found.ci_low), float(found.ci_high)


def interval_text(mean: float, n: int, level: float = 0.95) -> str:
    """Return Wilson's interval of a proportion, such as "0.87 to 1.00" for 25 of 25."""
    low, high = interval_of(mean, n, level)
    decimals = decimals_of(high - low)
    return f"{low:.6g} to {high:.6g}" if decimals is None else f"{low:.{decimals}f} to {high:.{decimals}f}"
