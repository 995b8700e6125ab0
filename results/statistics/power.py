"""What a number of runs could have detected, and how many runs a difference needs.

Power is always at a difference that the caller names, or the difference at a power: never the power of the
difference that was seen, which only restates its p-value (Hoenig and Heisey 2001, "The abuse of power").
"""

from __future__ import annotations

import math
from collections.abc import Callable

from results.statistics.intervals import welch_df

POWER = 0.8
ALPHA = 0.05
MOST_RUNS = 10**7  # beyond this a number of runs is no advice


def t_test_power(shift: float, df: float, alpha: float = ALPHA) -> float:
    """Return the power of a two-sided t test whose true difference is ``shift`` standard errors away from 0."""
    from scipy.special import nctdtr, stdtrit

    if math.isnan(shift) or math.isnan(df):
        return math.nan
    shift = abs(shift)
    critical = float(stdtrit(df, 1 - alpha / 2))
    if shift > critical + 40:  # the noncentral t of SciPy loses its footing there, and the power is 1
        return 1.0
    return float(1 - nctdtr(df, shift, critical) + nctdtr(df, shift, -critical))


def detectable_difference(error: float, df: float, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """Return the smallest true difference that a test with this standard error finds with the given power.

    Args:
        error: Standard error of the difference, taken as if it were the true one.
        df: Degrees of freedom of the test.
        power: Wanted probability of a resolved answer, in (alpha, 1).
        alpha: Two-sided error rate of the test.

    Returns:
        In the measure's unit; NaN where the error is unknown, 0 where nothing varies.
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
    """Return the number of pairs with which a paired test finds a true difference ``delta``.

    Args:
        delta: The difference to detect, in the measure's unit; its sign does not matter.
        sd: Standard deviation of the pairs' differences.
        power: Wanted probability of a resolved answer.
        alpha: Two-sided error rate of the test.

    Returns:
        An integer of at least 2; inf beyond ten million; NaN where the spread is unknown.

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
    """Return the number of runs per group with which Welch's test finds a true difference ``delta``.

    Arguments, result and errors as for :func:`pairs_needed`, with one standard deviation over runs per group.
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
    """Return the chi-square interval of a standard deviation that rests on ``df`` degrees of freedom.

    A spread seen over few runs is itself uncertain, and the number of runs grows with its square.
    """
    if math.isnan(sd) or math.isnan(df) or df <= 0:
        return math.nan, math.nan
    from scipy.special import chdtri

    tail = (1 - level) / 2
    return sd * math.sqrt(df / float(chdtri(df, tail))), sd * math.sqrt(df / float(chdtri(df, 1 - tail)))


def _power_at(delta: float, error: float, df: float, alpha: float) -> float:
    return 1.0 if error == 0 else t_test_power(delta / error, df, alpha)


def _fewest(power_at: Callable[[int], float], power: float) -> float:
    """Return the smallest n >= 2 of enough power, by doubling and halving: power grows with n."""
    enough = 2
    while power_at(enough) < power:
        enough *= 2
        if enough > MOST_RUNS:
            return math.inf
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if middle >= 2 and power_at(middle) >= power:
            enough = middle
        else:
            too_few = middle
    return float(enough)


def _check(delta: float, power: float, alpha: float) -> None:
    if delta == 0 or not math.isfinite(delta):
        raise ValueError(f"the difference to detect is a finite number other than 0, got {delta}")
    _check_power(power, alpha)


def _check_power(power: float, alpha: float) -> None:
    if not 0 < alpha < power < 1:
        raise ValueError(f"need 0 < alpha < power < 1, got alpha={alpha}, power={power}")
