"""The power of t tests: the smallest difference that they detect, and the number of runs that a difference needs.

The caller names the difference or the power. The power at the observed difference is never computed: it only restates
the p-value (Hoenig and Heisey 2001, "The abuse of power").
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from results.statistics.intervals import welch_df

POWER = 0.8
ALPHA = 0.05
MOST_RUNS = 10**7  # a larger number of runs would be useless as advice
SMALL_DF = 100.0  # up to here integrate over the normal variable, beyond it over the spread
WIDTH = 9.0  # the integrals end where the normal density is below 1e-17
N_NODES = 300


def t_test_power(shift: float, df: float, alpha: float = ALPHA) -> float:
    """Return the power of a two-sided t test.

    Args:
        shift: The true difference in standard errors (the noncentrality parameter); its sign does not matter.
        df: Degrees of freedom, above 0; need not be an integer; infinite for a normal statistic.
        alpha: Two-sided error rate of the test.

    Returns:
        A probability, accurate to about 1e-9; NaN if ``shift`` or ``df`` is.
    """
    from scipy.special import ndtr, ndtri, stdtrit

    if math.isnan(shift) or math.isnan(df):
        return math.nan
    if math.isinf(shift):
        return 1.0
    if math.isinf(df):
        return float(ndtr(ndtri(alpha / 2) + shift) + ndtr(ndtri(alpha / 2) - shift))
    # SciPy's noncentral t (nctdtr) is NaN in the far tail, where tests of few replicates are; so integrate instead
    critical = float(stdtrit(df, 1 - alpha / 2))
    tail = _tail_over_normal if df <= SMALL_DF else _tail_over_spread
    return min(1.0, tail(abs(shift), df, critical) + tail(-abs(shift), df, critical))


def _tail_over_normal(shift: float, df: float, critical: float) -> float:
    """Return P((Z + shift) / S > critical) by integration over the standard normal Z.

    S is the estimated over the true spread, so df S^2 is chi-square with df degrees of freedom. The integrand is smooth
    for small df; for large df the distribution of S is too narrow for the nodes.
    """
    from scipy.special import chdtr

    # Below -shift the numerator is negative, and the ratio cannot exceed the critical value.
    low, high = max(-shift, -WIDTH), WIDTH
    if low >= high:
        return 0.0
    nodes, weights = _gauss_legendre()
    z = (low + high) / 2 + (high - low) / 2 * nodes
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return float((high - low) / 2 * np.sum(weights * density * chdtr(df, df * ((z + shift) / critical) ** 2)))


def _tail_over_spread(shift: float, df: float, critical: float) -> float:
    """Return the same by integration over S, whose distribution is close to 1 ± 1 / sqrt(2 df) for large df."""
    from scipy.special import ndtr

    nodes, weights = _gauss_legendre()
    e = WIDTH / math.sqrt(2 * df) * nodes  # S - 1
    density = np.exp(df * (np.log1p(e) - e - e**2 / 2) - np.log1p(e))  # times a constant that the division removes
    return float(np.sum(weights * density * ndtr(shift - critical * (1 + e))) / np.sum(weights * density))


@functools.cache
def _gauss_legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(N_NODES)


def detectable_difference(error: float, df: float, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """Return the smallest true difference that a test with this standard error detects with the given power.

    Args:
        error: Standard error of the difference; the estimate is taken for the true value.
        df: Degrees of freedom of the test.
        power: Probability that the test detects the difference, in (alpha, 1).
        alpha: Two-sided error rate of the test.

    Returns:
        The difference in the measure's unit. NaN if the error is unknown; 0 if it is 0.

    Raises:
        ValueError: Not ``0 < alpha < power < 1``.
    """
    _check_power(power, alpha)
    if math.isnan(error) or math.isnan(df) or df <= 0:
        return math.nan
    if error == 0:
        return 0.0
    from scipy.optimize import brentq

    top = 4.0
    while t_test_power(top, df, alpha) < power:
        top *= 2
    return float(brentq(lambda shift: t_test_power(shift, df, alpha) - power, 0.0, top, xtol=1e-10)) * error


def pairs_needed(delta: float, sd: float, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """Return the number of pairs that a paired t test needs to detect a true difference ``delta``.

    Args:
        delta: The difference to detect, in the measure's unit; its sign does not matter.
        sd: Standard deviation of the pairs' differences.
        power: Probability that the test detects the difference.
        alpha: Two-sided error rate of the test.

    Returns:
        An integer of at least 2; infinity above ten million; NaN if the spread is unknown.

    Raises:
        ValueError: ``delta`` is 0 or not finite.
    """
    _check(delta, power, alpha)
    if math.isnan(sd):
        return math.nan
    return _fewest(lambda n: _power_at(delta, sd / math.sqrt(n), n - 1, alpha), power)


def runs_needed_per_group(
    delta: float, sd_a: float, sd_b: float, *, power: float = POWER, alpha: float = ALPHA
) -> float:
    """Return the number of runs per group that Welch's test needs to detect a true difference ``delta``.

    Args:
        delta: The difference to detect, in the measure's unit; its sign does not matter.
        sd_a: Standard deviation over the runs of the first group.
        sd_b: Standard deviation over the runs of the second group.
        power: Probability that the test detects the difference.
        alpha: Two-sided error rate of the test.

    Returns:
        An integer of at least 2; infinity above ten million; NaN if a spread is unknown.

    Raises:
        ValueError: ``delta`` is 0 or not finite.
    """
    _check(delta, power, alpha)
    if math.isnan(sd_a) or math.isnan(sd_b):
        return math.nan

    def power_at(n: int) -> float:
        error_a, error_b = sd_a / math.sqrt(n), sd_b / math.sqrt(n)
        df = float(welch_df(error_a, n, error_b, n)) if sd_a or sd_b else n - 1
        return _power_at(delta, math.hypot(error_a, error_b), df, alpha)

    return _fewest(power_at, power)


def sd_limits(sd: float, df: float, level: float = 0.8) -> tuple[float, float]:
    """Return the chi-square interval of a standard deviation with ``df`` degrees of freedom.

    The spread over few runs is itself uncertain, and the number of runs needed grows with its square.
    """
    if math.isnan(sd) or math.isnan(df) or df <= 0:
        return math.nan, math.nan
    from scipy.special import chdtri

    tail = (1 - level) / 2
    return sd * math.sqrt(df / float(chdtri(df, tail))), sd * math.sqrt(df / float(chdtri(df, 1 - tail)))


def _power_at(delta: float, error: float, df: float, alpha: float) -> float:
    return 1.0 if error == 0 else t_test_power(delta / error, df, alpha)


def _fewest(power_at: Callable[[int], float], power: float) -> float:
    """Return the smallest n >= 2 with enough power, which grows with n; infinity beyond ``MOST_RUNS``."""
    # Searched over whole numbers: the degrees of freedom, and with them the quantile, change with n.
    sizes = range(2, MOST_RUNS + 1)
    place = bisect_left(sizes, True, key=lambda n: power_at(n) >= power)
    return float(sizes[place]) if place < len(sizes) else math.inf


def _check(delta: float, power: float, alpha: float) -> None:
    if delta == 0 or not math.isfinite(delta):
        raise ValueError(f"the difference to detect must be a finite number other than 0, got {delta}")
    _check_power(power, alpha)


def _check_power(power: float, alpha: float) -> None:
    if not 0 < alpha < power < 1:
        raise ValueError(f"need 0 < alpha < power < 1, got alpha={alpha}, power={power}")
