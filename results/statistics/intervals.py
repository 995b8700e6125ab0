"""Student's t intervals and t tests over replicates.

The tests take the replicates of one group along the last axis of an array, so that a simulation of 20,000 experiments
is one call. They are those of ``scipy.stats.ttest_rel`` and ``ttest_ind`` (the tests compare them), from SciPy's t
distribution, since a report makes thousands of them. This module also defines the results that SciPy leaves open: with
one replicate the error is unknown (NaN), never 0.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
ROUNDING = 2.0**-50  # a spread below this share of the values is rounding: .9 - .8 and .3 - .2 differ by 3e-17
Counts = int | NDArray[np.int64]


class Difference(NamedTuple):
    """Difference of two means (first minus second), its standard error, t interval, degrees of freedom and p-value.

    All but the difference are NaN (unknown) with fewer than two replicates, or without any spread between them.
    """

    difference: Array
    error: Array
    ci_low: Array
    ci_high: Array
    df: Array
    p_value: Array


@frozen
class Summary:
    """The summary of one row of replicates.

    Attributes:
        n: Replicates.
        mean: NaN where there is none; NaN or infinite where a replicate is.
        error: Standard error of the mean; NaN (unknown) for fewer than two replicates, or if all are equal.
        ci_low: Lower end of Student's t interval.
        ci_high: Upper end.
        level: Coverage of the interval.
        is_constant: Whether two replicates or more are all equal, up to rounding.
    """

    n: int
    mean: float
    error: float
    ci_low: float
    ci_high: float
    level: float = 0.95
    is_constant: bool = False

    @property
    def half_width(self) -> float:
        """Half the width of the interval: what may stand behind a ±, by name."""
        # not ci_high - mean, which has lost digits where the mean is much larger than its error
        return math.nan if math.isnan(self.error) else _cached_t_quantile(self.level, self.n - 1) * self.error


def summarise(values: Sequence[float], level: float = 0.95) -> Summary:
    """Return the mean, its standard error over replicates and Student's t interval with n - 1 degrees of freedom.

    Args:
        values: One value per replicate (a run, never a sample within a run).
        level: Coverage of the interval, in (0, 1).

    Returns:
        With one replicate, or several that are all equal, error and interval are NaN (unknown); with none, the mean is
        NaN too.
    """
    # plain Python: NumPy would take ten times as long for the few values of a group, and a table has thousands of them
    n = len(values)
    if n == 0 or not all(map(math.isfinite, values)):
        mean = math.nan if n == 0 else sum(values) / n
        return Summary(n, mean, math.nan, math.nan, math.nan, level)
    if (scale := scale_of(max(map(abs, values)))) != 1:
        return _scaled(summarise([value / scale for value in values], level), scale)
    mean = math.fsum(values) / n  # an exact sum, so that the order of the runs does not matter
    if n == 1:
        return Summary(n, mean, math.nan, math.nan, math.nan, level)
    if max(values) - min(values) <= ROUNDING * max(map(abs, values)):
        return Summary(n, mean, math.nan, math.nan, math.nan, level, is_constant=True)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    half = _cached_t_quantile(level, n - 1) * error
    return Summary(n, mean, error, mean - half, mean + half, level)


def scale_of(largest: float) -> float:
    """Return a power of two by which values up to ``largest`` are divided, so that their squares neither over- nor
    underflow; 1 for ordinary values.
    """
    if not math.isfinite(largest) or largest == 0 or 1e-100 < largest < 1e100:
        return 1.0
    return 2.0 ** (math.frexp(largest)[1] - 1)


def _scaled(one: Summary, scale: float) -> Summary:
    mean, error, low, high = (part * scale for part in (one.mean, one.error, one.ci_low, one.ci_high))
    return Summary(one.n, mean, error, low, high, one.level, one.is_constant)


# A table asks for a few numbers of runs thousands of times, and a call of SciPy costs more than the rest of a summary.
@functools.cache
def _cached_t_quantile(level: float, df: int) -> float:
    return float(t_quantile(level, df))


def t_quantile(level: float, df: ArrayLike) -> Array:
    """Return the half-width, in standard errors, of a two-sided Student's t interval of coverage ``level``."""
    from scipy.special import stdtrit  # scipy.stats would cost a second more

    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1 (such as 0.95), got {level}")
    return np.asarray(stdtrit(np.asarray(df, dtype=float), 0.5 + level / 2), dtype=float)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Difference:
    """Compare pairs (same seed, or same sample): a t test of the differences a - b along the last axis.

    Raises:
        ValueError: The two do not have one shape; pairs need a partner each.
    """
    x, y = _replicates(a), _replicates(b)
    if x.shape != y.shape:
        raise ValueError(f"pairs need a partner each, got shapes {x.shape} and {y.shape}")
    n = x.shape[-1]
    if n < 2:
        return _untestable(x, y)
    x, y, scale = _divided(x, y)
    with _quiet():
        error = np.std(x - y, axis=-1, ddof=1) / np.sqrt(n)
    return _multiplied(_difference(x, y, error, n - 1, level), scale)


def welch_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Difference:
    """Compare independent groups, whose spreads may differ, by Welch's t test along the last axis."""
    x, y = _replicates(a), _replicates(b)
    if x.shape[-1] < 2 or y.shape[-1] < 2:
        return _untestable(x, y)
    x, y, scale = _divided(x, y)
    with _quiet():
        errors = [np.std(part, axis=-1, ddof=1) / np.sqrt(part.shape[-1]) for part in (x, y)]
        df = welch_df(errors[0], x.shape[-1], errors[1], y.shape[-1])
    return _multiplied(_difference(x, y, np.hypot(*errors), df, level), scale)


def welch_from_errors(
    mean_a: float, error_a: float, n_a: int, mean_b: float, error_b: float, n_b: int, level: float = 0.95
) -> Difference:
    """Welch's test from two means with their standard errors.

    Args:
        mean_a: Mean of A, in the measure's unit.
        error_a: Its standard error, same unit.
        n_a: Number of observations that the error rests on.
        mean_b: Mean of B.
        error_b: Its standard error.
        n_b: Number of observations that it rests on.
        level: Coverage of the interval, in (0, 1).

    Returns:
        The difference A - B, 0-d arrays; all else is NaN where an error is unknown or rests on one observation,
        or both are 0.
    """
    scale = scale_of(max(map(abs, (mean_a, mean_b, error_a, error_b))))
    if scale != 1:
        a, b = (mean_a / scale, error_a / scale, n_a), (mean_b / scale, error_b / scale, n_b)
        return _multiplied(welch_from_errors(*a, *b, level), scale)
    difference = np.asarray(mean_a - mean_b, dtype=float)
    error = np.asarray(np.hypot(error_a, error_b), dtype=float)
    if n_a < 2 or n_b < 2 or not np.isfinite(error) or not np.isfinite(difference):
        return _unknown(difference)
    from scipy import stats

    df = welch_df(error_a, n_a, error_b, n_b)
    with _quiet():
        test = stats.ttest_ind_from_stats(
            mean_a, error_a * np.sqrt(n_a), n_a, mean_b, error_b * np.sqrt(n_b), n_b, equal_var=False
        )
        half = t_quantile(level, df) * error
    found = Difference(difference, error, difference - half, difference + half, df, np.asarray(test.pvalue))
    return _unknown_without_spread(found, max(abs(mean_a), abs(mean_b)))


def welch_df(
    error_a: ArrayLike, n_a: int | NDArray[np.int64], error_b: ArrayLike, n_b: int | NDArray[np.int64]
) -> Array:
    """Return the degrees of freedom of a difference of two means.

    Args:
        error_a: Standard error of the first mean, any shape.
        n_a: Number of observations that it rests on; broadcast against ``error_a``.
        error_b: Standard error of the second mean, in the same unit; broadcast against ``error_a``.
        n_b: Number of observations that it rests on.

    Returns:
        Not rounded, of the broadcast shape. NaN where both errors are 0.

    Source: Welch 1947, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34; Satterthwaite 1946.
    """
    a, b = np.asarray(error_a, dtype=float), np.asarray(error_b, dtype=float)
    with np.errstate(all="ignore"):
        largest = np.maximum(a, b)  # a ratio first: squares of tiny errors would underflow
        share = (a / largest) ** 2 / ((a / largest) ** 2 + (b / largest) ** 2)
        return np.asarray(1.0 / (share**2 / (n_a - 1) + (1.0 - share) ** 2 / (n_b - 1)))


def _replicates(values: ArrayLike) -> Array:
    x = np.asarray(values, dtype=float)
    if x.ndim == 0:
        raise ValueError("replicates come as a sequence, got a single number")
    return x


def _divided(x: Array, y: Array) -> tuple[Array, Array, float]:
    """Return replicates whose squares neither over- nor underflow, and the number that they were divided by."""
    scale = scale_of(max(float(np.max(np.abs(part), initial=0.0)) for part in (x, y)))
    return (x, y, scale) if scale == 1 else (x / scale, y / scale, scale)


def _multiplied(found: Difference, scale: float) -> Difference:
    if scale == 1:
        return found
    with np.errstate(over="ignore"):  # the interval of values near the largest float ends in infinity
        difference, error, low, high = (np.asarray(part * scale) for part in found[:4])
    return Difference(difference, error, low, high, found.df, found.p_value)


def _difference(x: Array, y: Array, error: Array, df: ArrayLike, level: float) -> Difference:
    from scipy.special import stdtr

    with _quiet():
        difference = np.mean(x, axis=-1) - np.mean(y, axis=-1)
        half = t_quantile(level, df) * error
        p_value = 2 * stdtr(df, -np.abs(difference / error))
    answers = (difference - half, difference + half, np.broadcast_to(df, np.shape(error)), p_value)
    found = Difference(difference, error, *(np.asarray(part, dtype=float) for part in answers))
    largest = np.maximum(np.max(np.abs(x), axis=-1), np.max(np.abs(y), axis=-1))
    return _unknown_without_spread(found, largest)


def _unknown_without_spread(found: Difference, largest: Array | float) -> Difference:
    """Replicates that are all equal do not show how much the next one would differ: the error is unknown, not 0."""
    known = found.error > ROUNDING * np.asarray(largest)
    difference, *parts = found
    return Difference(difference, *(np.where(known, part, np.nan) for part in parts))


def _untestable(x: Array, y: Array) -> Difference:
    if x.shape[-1] == 0 or y.shape[-1] == 0:
        return _unknown(np.full(x.shape[:-1], np.nan))
    return _unknown(np.mean(x, axis=-1) - np.mean(y, axis=-1))


def _unknown(difference: Array) -> Difference:
    nan = np.full_like(difference, np.nan)
    return Difference(difference, nan, nan, nan, nan, nan)


@contextmanager
def _quiet() -> Iterator[None]:
    """SciPy and NumPy warn of NaN, infinities and equal values; here the answer itself says so."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
