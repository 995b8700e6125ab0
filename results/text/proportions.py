"""Wilson's interval of a proportion that one run measured, as text."""

from __future__ import annotations

import math
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


def interval_of(mean: float, n: int, error: float, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of Wilson's interval of a proportion.

    Args:
        mean: The proportion.
        n: Observations, or clusters of them.
        error: Its recorded standard error; NaN if unknown. If it is larger than that of n independent samples, as for
            clusters of unequal size, the effective number of samples, p(1 - p) / error², takes the place of n.
        level: Coverage of the interval, in (0, 1).

    Source: Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data", Survey Methodology 24, for the effective number of samples.
    """
    from results.statistics.proportions import wilson_interval  # NumPy and SciPy: paid by those who print one

    variance = mean * (1 - mean)
    independent = variance / max(1, n - 1)
    effective = variance / error**2 if math.isfinite(error) and error**2 > 1.001 * independent > 0 else n
    found = wilson_interval(mean * effective, effective, level)
    return float(found.ci_low), float(found.ci_high)


def interval_text(mean: float, n: int, error: float, level: float = 0.95) -> str:
    """Return Wilson's interval of a proportion, such as "0.87 to 1.00" for 25 of 25.

    Args:
        mean: The proportion.
        n: Observations, or clusters of them.
        error: Its recorded standard error; see ``interval_of``.
        level: Coverage of the interval, in (0, 1).
    """
    low, high = interval_of(mean, n, error, level)
    decimals = decimals_of(high - low)
    return f"{low:.6g} to {high:.6g}" if decimals is None else f"{low:.{decimals}f} to {high:.{decimals}f}"
