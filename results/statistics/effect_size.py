"""Hedges' g*: a difference in units of the replicates' standard deviation."""

from __future__ import annotations

import numpy as np


def effect_size(difference: float, sd_a: float, n_a: int, sd_b: float, n_b: int) -> float:
    """Return the difference in units of the replicates' standard deviation (Hedges' g* of unpooled variances).

    Args:
        difference: Mean of A minus mean of B, in the measure's unit.
        sd_a: Standard deviation over the replicates of A (n - 1 in the divisor), same unit.
        n_a: Replicates of A.
        sd_b: Standard deviation over the replicates of B, same unit.
        n_b: Replicates of B.

    Returns:
        Dimensionless. NaN where a group has fewer than two replicates, neither has any spread, or the degrees of
        freedom are below two: a few replicates of unequal spread.

    Source: Delacre et al. 2021, "Why Hedges' g*s based on the non-pooled standard deviation should be reported with
    Welch's t-test", doi:10.31234/osf.io/tu6mp: the average variance, corrected for small samples by the exact gamma
    form of Hedges' factor with Welch's kind of degrees of freedom.
    """
    largest = max(sd_a, sd_b)
    if n_a < 2 or n_b < 2 or not (0 < largest < np.inf):
        return float("nan")
    from scipy.special import gammaln

    # Ratios to the larger spread: the fourth powers of tiny spreads would underflow.
    ratio_a, ratio_b = (sd_a / largest) ** 2, (sd_b / largest) ** 2
    df = (ratio_a + ratio_b) ** 2 / (ratio_a**2 / (n_a - 1) + ratio_b**2 / (n_b - 1))
    # Towards one degree of freedom the factor falls to 0, and any effect with it: -0.00 beside a clear difference.
    # Below two the variance of g does not exist either, so the effect is unknown.
    if df < 2:
        return float("nan")
    # The usual 1 - 3 / (4 df - 1) is off by 1% at df = 2. Logarithms, because gamma overflows beyond 171.
    factor = float(np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / np.sqrt(df / 2))
    return float(difference / (largest * np.sqrt((ratio_a + ratio_b) / 2)) * factor)
