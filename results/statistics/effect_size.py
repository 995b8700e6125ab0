"""Hedges' g*: a difference in units of the replicates' standard deviation."""

from __future__ import annotations

import numpy as np


def effect_size(difference: float, sd_a: float, n_a: int, sd_b: float, n_b: int) -> float:
    """Return the difference in units of the replicates' standard deviation (Hedges' g* of unpooled variances).

    NaN where a group has fewer than two replicates or neither has any spread.

    Source: Delacre et al. 2021, "Why Hedges' g*s based on the non-pooled standard deviation should be reported with
    Welch's t-test", doi:10.31234/osf.io/tu6mp: the average variance, corrected for small samples by the exact gamma
    form of Hedges' factor with Welch's kind of degrees of freedom.
    """
    largest = max(sd_a, sd_b)
    if n_a < 2 or n_b < 2 or not (0 < largest < np.inf):
        return float("nan")
    from scipy.special import gammaln

    ratio_a, ratio_b = (sd_a / largest) ** 2, (sd_b / largest) ** 2
    df = (ratio_a + ratio_b) ** 2 / (ratio_a**2 / (n_a - 1) + ratio_b**2 / (n_b - 1))
    if df <= 1:
        return float("nan")
    factor = float(np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / np.sqrt(df / 2))
    return float(difference / (largest * np.sqrt((ratio_a + ratio_b) / 2)) * factor)
