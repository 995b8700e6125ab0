"""Seeds × shared samples: an estimate whose error covers new seeds and new samples, and the parts of that error.

Every seed of a group is evaluated on the same samples, so a value is mean + seed + sample + residual. The error over
seeds alone holds for these samples only; this one covers other samples, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.statistics.intervals import welch_df

Array = NDArray[np.float64]


class TwoLevelEstimate(NamedTuple):
    """A mean, or a difference of two, over seeds and samples; each field has one element per experiment (0-d for one).

    Attributes:
        estimate: The mean, or A - B.
        error: Standard error over new seeds and new samples: the root of the sum of the three parts.
        ci_low: Lower end of the interval.
        ci_high: Upper end.
        p_value: Two-sided, of the estimate being 0.
        seed_part: Variance of the estimate that comes from the seeds: more seeds make it smaller.
        sample_part: From the samples: more samples make it smaller.
        residual_part: From both together: either makes it smaller.
    """

    estimate: Array
    error: Array
    ci_low: Array
    ci_high: Array
    p_value: Array
    seed_part: Array
    sample_part: Array
    residual_part: Array

    @property
    def more_helps(self) -> str:
        """Return "more seeds" or "more samples": twice as many of them lowers the error more; for one experiment."""
        return "more seeds" if float(self.seed_part) >= float(self.sample_part) else "more samples"


def two_level_mean(values: ArrayLike, level: float = 0.95) -> TwoLevelEstimate:
    """Estimate the mean over seeds and samples.

    Args:
        values: Shape ``(..., n_seeds, n_samples)``, at least 2 of each. For a comparison paired over seeds, the
            differences A - B of each seed and sample.
        level: Coverage of the interval.

    Raises:
        ValueError: Fewer than two seeds or samples.

    Source: Searle, Casella and McCulloch 1992, "Variance components", section 4.4 (ANOVA estimates of crossed random
    effects; a negative one is taken as 0, which only widens the interval). The interval's half-width is the root of
    t² × variance over seeds + t² × variance over samples, each with its own degrees of freedom (Banerjee 1961, "On
    confidence interval for two-means problem", Sankhya A 23), since Satterthwaite's covers 92% for three seeds.
    """
    return _estimate([_level_sums(values)], level)


def two_level_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> TwoLevelEstimate:
    """Estimate the difference A - B of two groups with seeds of their own and the same samples.

    Args:
        a: Shape ``(..., n_seeds_a, n_samples)``, at least 2 of each.
        b: Shape ``(..., n_seeds_b, n_samples)``, the samples in the order of ``a``.
        level: Coverage of the interval.

    Raises:
        ValueError: Fewer than two seeds or samples, or the numbers of samples differ.

    Source: as for :func:`two_level_mean`, with a seed and a residual component per group.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"both groups need the same samples, got shapes {x.shape} and {y.shape}")
    return _estimate([_level_sums(x), _level_sums(y)], level)


class _Level(NamedTuple):
    """One group: sample means, variance of the mean over seeds, that of the residual, and their degrees of freedom."""

    sample_means: Array
    over_seeds: Array
    residual: Array
    seed_df: int
    residual_df: int


def _level_sums(values: ArrayLike) -> _Level:
    x = np.asarray(values, dtype=float)
    if x.ndim < 2 or min(x.shape[-2:]) < 2:
        raise ValueError(f"two levels need at least two seeds and two samples, got shape {x.shape}")
    n_seeds, n_samples = x.shape[-2:]
    seed_means, sample_means = x.mean(axis=-1), x.mean(axis=-2)
    grand = seed_means.mean(axis=-1)
    rest = x - seed_means[..., :, None] - sample_means[..., None, :] + grand[..., None, None]
    residual_df = (n_seeds - 1) * (n_samples - 1)
    residual = np.sum(rest**2, axis=(-2, -1)) / residual_df / (n_seeds * n_samples)
    return _Level(sample_means, np.var(seed_means, axis=-1, ddof=1) / n_seeds, residual, n_seeds - 1, residual_df)


def _estimate(groups: Sequence[_Level], level: float) -> TwoLevelEstimate:
    per_sample = groups[0].sample_means - (groups[1].sample_means if len(groups) > 1 else 0.0)
    n_samples = per_sample.shape[-1]
    estimate = per_sample.mean(axis=-1)
    residual = np.sum([group.residual for group in groups], axis=0)
    seed_part = np.sum([np.maximum(group.over_seeds - group.residual, 0.0) for group in groups], axis=0)
    sample_part = np.maximum(np.var(per_sample, axis=-1, ddof=1) / n_samples - residual, 0.0)
    over_seeds = seed_part + residual

    def half_width(tail: Array | float) -> Array:
        squared = _t(seed_df, tail) ** 2 * over_seeds + _t(n_samples - 1, tail) ** 2 * sample_part
        return np.asarray(np.sqrt(squared))

    with np.errstate(all="ignore"):
        # As it enters the interval: never below the residual, since a negative seed part counts as 0.
        errors = [np.sqrt(np.maximum(group.over_seeds, group.residual)) for group in groups]
        seed_df: ArrayLike = groups[0].seed_df
        if len(groups) > 1:
            seed_df = welch_df(errors[0], groups[0].seed_df + 1, errors[1], groups[1].seed_df + 1)
        error = np.sqrt(over_seeds + sample_part)
        half = half_width((1 - level) / 2)
        p_value = np.where(error > 0, _tail_at(half_width, np.abs(estimate)), np.nan)
    return TwoLevelEstimate(
        estimate, error, estimate - half, estimate + half, p_value, seed_part, sample_part, residual
    )


def _t(df: ArrayLike, tail: Array | float) -> Array:
    from scipy.special import stdtrit

    return np.asarray(stdtrit(df, tail))


def _tail_at(half_width: Callable[[Array], Array], distance: Array) -> Array:
    """Return the two-sided p-value: the error rate at which an interval's half-width is ``distance``, by bisection.

    Never below 2e-12, where SciPy's quantiles lose their digits.
    """
    low, high = np.full(distance.shape, -12.0), np.full(distance.shape, np.log10(0.5))  # of log10 of one tail
    # 60 halvings of 12 decades are below the rounding of a double; the half-width has no inverse in closed form.
    for _ in range(60):
        middle = (low + high) / 2
        wider = half_width(10.0**middle) > distance
        low, high = np.where(wider, middle, low), np.where(wider, high, middle)
    return np.minimum(1.0, 2 * 10.0**high)
