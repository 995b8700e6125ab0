"""Comparisons that do not assume normal replicates: medians, trimmed means, ranks and permutations.

Rank and permutation tests keep their nominal error rate even for very skewed replicates, if the two groups differ in
nothing but a shift. But few replicates have few orders, so that they cannot give a small p-value.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]

N_RESAMPLES = 10_000  # 250 of them lie beyond each end of a 95% interval
_ROUNDING = 1e-12  # relative difference of resamples, or of pairs' differences, that are equal but for rounding


class BootstrapInterval(NamedTuple):
    """A statistic with its percentile bootstrap interval, whose ends are NaN if the resamples show no spread."""

    estimate: float
    ci_low: float
    ci_high: float


def median(values: Array) -> Array:
    """Return the median over the last axis."""
    return np.asarray(np.median(values, axis=-1))


def iqm(values: Array) -> Array:
    """Return the interquartile mean over the last axis: the mean without the lowest and the highest quarter.

    A quarter is rounded down: of 5 values the middle 3 count, of 3 values all.

    Source: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice",
    arXiv:2108.13264 (rliable).
    """
    ordered = np.sort(values, axis=-1)
    cut = ordered.shape[-1] // 4
    return np.asarray(np.mean(ordered[..., cut : ordered.shape[-1] - cut], axis=-1))


def bootstrap_difference(
    a: Sequence[float],
    b: Sequence[float],
    statistic: Statistic,
    *,
    paired: bool = False,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> BootstrapInterval:
    """Return statistic(A) - statistic(B) with its percentile interval over resampled runs.

    Args:
        a: One value per run of A.
        b: One value per run of B.
        statistic: Of an array, over its last axis: :func:`median`, :func:`iqm`, ...
        paired: Runs are resampled pair by pair, and the statistic is of the differences; else within each group
            (the strata).
        level: Nominal coverage. The true one is lower for few runs; docs/many_runs.md gives the simulated figures.
        n_resamples: Resamples; their seed is fixed, so that equal data give equal numbers.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13; rliable as for :func:`iqm`.
    """
    x, y = _finite(a), _finite(b)
    rng = np.random.default_rng(0)
    if paired:
        differences = _pairs(x, y)
        resampled = statistic(_resampled(differences, n_resamples, rng))
        return _percentiles(_of(statistic, differences), resampled, level, len(differences))
    resampled = statistic(_resampled(x, n_resamples, rng)) - statistic(_resampled(y, n_resamples, rng))
    return _percentiles(_of(statistic, x) - _of(statistic, y), resampled, level, min(len(x), len(y)))


def rank_test(a: Sequence[float], b: Sequence[float], *, paired: bool = False) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test of pairs, or of the Mann-Whitney test; exact.

    NaN without a replicate on each side. Ties are handled by going through all orders (up to 10,000; beyond that,
    orders are sampled with a fixed seed).
    """
    x, y = _finite(a), _finite(b)
    if not len(x) or not len(y):
        return math.nan
    from scipy import stats

    method = stats.PermutationMethod(n_resamples=N_RESAMPLES, rng=np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of ties, which the permutations take care of
        if paired:
            differences = _ranked_pairs(x, y)
            if not differences.any():
                return 1.0
            has_ties = len(np.unique(np.abs(differences))) < len(differences) or not differences.all()
            return float(stats.wilcoxon(differences, method=method if has_ties else "exact").pvalue)
        has_ties = len(np.unique(np.concatenate([x, y]))) < len(x) + len(y)
        return float(stats.mannwhitneyu(x, y, method=method if has_ties else "exact").pvalue)


def rank_direction(a: Sequence[float], b: Sequence[float], *, paired: bool = False) -> int:
    """Return 1 if A ranks higher in the rank test, -1 if B does, and 0 if neither does.

    The difference of the interquartile means may point in the other direction: many values a little above those of B,
    and a few far below them.
    """
    x, y = _finite(a), _finite(b)
    if paired:
        from scipy.stats import rankdata

        differences = _ranked_pairs(x, y)
        total = float(np.sum(np.sign(differences) * rankdata(np.abs(differences))))
    else:
        total = float(np.sum(np.sign(x[:, None] - y[None, :])))
    return int(np.sign(total))


def permutation_test(a: Sequence[float], b: Sequence[float], *, paired: bool = False) -> float:
    """Return the two-sided p-value of the difference of means under all reassignments of runs to groups.

    Of pairs, under all swaps of partners. Beyond 10,000 reassignments these are sampled with a fixed seed. NaN without
    a replicate on each side.
    """
    x, y = _finite(a), _finite(b)
    if not len(x) or not len(y):
        return math.nan
    from scipy import stats

    def difference_of_means(one: Array, other: Array, axis: int = -1) -> Array:
        return np.asarray(np.mean(one, axis=axis) - np.mean(other, axis=axis))

    if paired:
        _pairs(x, y)
    kind = "samples" if paired else "independent"
    rng = np.random.default_rng(0)
    found = stats.permutation_test(
        (x, y), difference_of_means, permutation_type=kind, n_resamples=N_RESAMPLES, vectorized=True, rng=rng
    )
    return float(found.pvalue)


def smallest_p(n_a: int, n_b: int, *, paired: bool = False) -> float:
    """Return the smallest two-sided p-value that a rank or permutation test of so many replicates can give.

    Five pairs cannot be below 0.0625, three against three runs not below 0.1, whatever the values are.
    """
    orders = 2**n_a if paired else math.comb(n_a + n_b, n_a)
    return min(1.0, 2 / orders)


def probability_of_improvement(
    a: Sequence[float], b: Sequence[float], *, higher_is_better: bool = True, level: float = 0.95
) -> BootstrapInterval:
    """Return the probability that a run of A is better than a run of B, ties counting half, with its interval.

    Runs are resampled within each group; pairs play no part.

    Args:
        a: One value per run of A.
        b: One value per run of B, in the same unit.
        higher_is_better: Whether the greater of two values is the better one.
        level: Nominal coverage of the percentile bootstrap interval, in (0, 1).

    Raises:
        ValueError: A value is not finite.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3; the Mann-Whitney statistic over the number of pairs.
    """
    x, y = _finite(a), _finite(b)
    if not higher_is_better:
        x, y = -x, -y
    wins = (np.sign(x[:, None] - y[None, :]) + 1) / 2
    rng = np.random.default_rng(0)
    rows = rng.integers(len(x), size=(N_RESAMPLES, len(x))) if len(x) else np.zeros((0, 0), dtype=int)
    columns = rng.integers(len(y), size=(N_RESAMPLES, len(y))) if len(y) else np.zeros((0, 0), dtype=int)
    weights = _counts(rows, len(x)), _counts(columns, len(y))
    # By counts, not by n_a x n_b tables per resample, which would take gigabytes for hundreds of runs.
    resampled = np.einsum("ri,ij,rj->r", weights[0], wins, weights[1]) if wins.size else np.empty(0)
    estimate = np.asarray(wins.mean() if wins.size else math.nan)
    return _percentiles(estimate, resampled, level, min(len(x), len(y)))


def _counts(indices: NDArray[np.int64], n: int) -> Array:
    """Return how often each of n replicates was drawn in each resample, as shares."""
    if not indices.size:
        return np.zeros((0, n))
    flat = (indices + n * np.arange(len(indices))[:, None]).ravel()
    return np.bincount(flat, minlength=n * len(indices)).reshape(len(indices), n) / n


def _finite(values: ArrayLike) -> Array:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1:
        raise ValueError(f"one value per run is needed, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("values that are not finite cannot be ranked; leave them out and say so")
    return x


def _pairs(x: Array, y: Array) -> Array:
    if x.shape != y.shape:
        raise ValueError(f"pairs need a partner each, got {len(x)} and {len(y)} values")
    return x - y


def _ranked_pairs(x: Array, y: Array) -> Array:
    """Return the differences of pairs for ranking: .9 - .8 and .3 - .2 are a tie in spite of rounding."""
    differences = _pairs(x, y)
    step = _ROUNDING * max(np.abs(x).max(initial=0.0), np.abs(y).max(initial=0.0))
    return np.round(differences / step) if step > 0 else differences


def _of(statistic: Statistic, x: Array) -> Array:
    return statistic(x) if len(x) else np.asarray(math.nan)


def _resampled(x: Array, n_resamples: int, rng: np.random.Generator) -> Array:
    return x[rng.integers(len(x), size=(n_resamples, len(x)))] if len(x) else np.full((n_resamples, 1), np.nan)


def _percentiles(estimate: Array, resampled: Array, level: float, n: int) -> BootstrapInterval:
    # Percentiles, as rliable takes them, so that the intervals agree with those of papers that use it.
    tail = (1 - level) / 2
    if n < 2 or not np.isfinite(estimate):
        return BootstrapInterval(float(estimate), math.nan, math.nan)
    if np.ptp(resampled) <= _ROUNDING * np.abs(resampled).max(initial=0.0):
        return BootstrapInterval(float(estimate), math.nan, math.nan)  # replicates without spread show no error
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return BootstrapInterval(float(estimate), float(low), float(high))
