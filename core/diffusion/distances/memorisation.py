"""A test of memorisation: do samples lie nearer to training images than held-out images do?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def memorisation_p_value(samples: Array, held_out: Array) -> float:
    """Return the one-sided p-value that samples lie no nearer to the training images than held-out images do.

    A rank test with Savage's scores (the log-rank test), which give most weight to the smallest distances, where a few
    copies among many samples are found. If the samples come from the same distribution as the held-out images, the
    p-value is below 0.05 in 5% of cases. The samples of a poor model lie far from all images, so copies among them are
    harder to find.

    Args:
        samples: Each sample's distance to its nearest training image, shape ``(n,)``.
        held_out: Each held-out image's distance, shape ``(m,)``.

    Returns:
        The p-value; NaN where either set is empty or all distances are equal.

    Raises:
        ValueError: A distance is NaN.

    Source: Savage 1956, "Contributions to the Theory of Rank Order Statistics"; mean, variance and skewness are those
    over all permutations, the tail that of a Pearson type III distribution.
    """
    from scipy.stats import rankdata

    n, m = len(samples), len(held_out)
    pooled = np.concatenate([samples, held_out])
    if np.isnan(pooled).any():
        raise ValueError(f"got {np.isnan(pooled).sum()} distances that are NaN; accepted: numbers")
    if min(n, m) == 0 or pooled.min() == pooled.max():
        return math.nan
    total = n + m
    # Savage's scores: expected order statistics of exponentials, the largest at the smallest rank.
    expected = np.cumsum(1 / np.arange(total, 0, -1.0))[::-1]
    first, last = rankdata(pooled, "min").astype(int) - 1, rankdata(pooled, "max").astype(int)
    sums = np.concatenate([[0.0], np.cumsum(expected)])
    scores = (sums[last] - sums[first]) / (last - first)  # ties share their scores
    scores -= scores.mean()
    square, cube = float((scores**2).mean()), float((scores**3).mean())
    # Exact moments of a sum of n scores drawn from all without replacement.
    variance = n * m / (total - 1) * square
    third = n * m * (m - n) / ((total - 1) * (total - 2)) * cube if total > 2 else 0.0
    return _upper_tail(float(scores[:n].sum()) / math.sqrt(variance), third / variance**1.5)


def _upper_tail(z: float, skewness: float) -> float:
    """Return P(Z > z) of the Pearson type III distribution with mean 0, variance 1 and this skewness."""
    from scipy.special import gammainc, gammaincc, ndtr

    # The form below divides by the skewness; here the normal tail differs from it by less than 1e-5.
    if abs(skewness) < 1e-4:
        return float(ndtr(-z))
    root = 2 / abs(skewness)
    shape = root**2
    if skewness > 0:
        return float(gammaincc(shape, max(0.0, shape + z * root)))
    return float(gammainc(shape, max(0.0, shape - z * root)))
