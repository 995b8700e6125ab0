"""Results of a pair: ratio, difference, covariance and correlation, each the exact value rounded once to float64.

With k complete observations of N = Σw samples, R = Σwa / Σwb and d = a - b:

    ratio        R, with error² = N / (k - 1) · Σw(a - R·b)² / (Σwb)²
    difference   mean(d), with error² = (Σwd² - (Σwd)²/N) / (k - 1) / N
    covariance   (Σwab - Σwa·Σwb/N) / (k - ddof)
    correlation  covariance / (std(a)·std(b))

The error of a ratio is the linearised one: it is the standard error of the mean of a - R·b, divided by mean(b).
Source: Cochran 1977, "Sampling Techniques", 3rd edition, section 2.11, for an infinite population. The weights
are those of core.meter.rounding; they make the variance per sample unbiased. If an observation is one cluster, with the
sum of its values as a and their number as b, R is the mean of all values, and the error is the clustered standard error
of Miller 2024, "Adding Error Bars to Evals", arXiv:2411.00640, with the factor G / (G - 1) for G clusters.
"""

import math

from core.meter import rounding
from core.meter.measure import S2_BITS, Measure
from core.meter.pair import Pair


def ratio(pair: Pair, *, omit_nan: bool) -> float:
    """Return Σwa / Σwb; NaN if there is no data, if Σwb is 0, or if a NaN came and ``omit_nan`` is false."""
    a, b = pair.a, pair.b
    if not a.k or (pair.nan and not omit_nan):
        return math.nan
    if pair.inf:
        return _infinite_ratio(a, b)
    if b.s1 == 0:
        return math.nan
    # rounding.ratio takes positive divisors only, as its integer path divides magnitudes.
    return rounding.ratio(a.s1, b.s1) if b.s1 > 0 else rounding.ratio(-a.s1, -b.s1)


def _infinite_ratio(a: Measure, b: Measure) -> float:
    """Return mean(a) / mean(b) where at least one of the two is not finite."""
    numerator, denominator = rounding.mean(a, omit_nan=False), rounding.mean(b, omit_nan=False)
    # By cases, because an invalid operation such as inf / inf may be a fatal error.
    if math.isnan(numerator) or math.isnan(denominator) or denominator == 0:
        return math.nan
    if math.isinf(denominator):
        return math.nan if math.isinf(numerator) else 0.0
    return numerator if denominator > 0 else -numerator


def ratio_error(pair: Pair, *, omit_nan: bool) -> float:
    """Return the linearised standard error of :func:`ratio`; NaN for fewer than two complete observations."""
    a, b = pair.a, pair.b
    if a.k < 2 or _is_unknown(pair, omit_nan=omit_nan) or b.s1 == 0:
        return math.nan
    residuals = a.s2 * b.s1**2 - 2 * a.s1 * b.s1 * pair.ab + a.s1**2 * b.s2  # Σw(a - R·b)² · (Σwb)²
    return rounding.root(a.n * residuals, (a.k - 1) * b.s1**4)


def difference(pair: Pair) -> Measure:
    """Return the state of the measure a - b over complete observations, without min and max."""
    a, b = pair.a, pair.b
    return Measure(
        a.k,
        a.n,
        a.s1 - b.s1,
        a.s2 - 2 * pair.ab + b.s2,
        nan=pair.nan,
        posinf=a.posinf + b.neginf,
        neginf=a.neginf + b.posinf,
    )


def covariance(pair: Pair, ddof: int, *, omit_nan: bool) -> float:
    """Return (Σwab - Σwa·Σwb/N) / (k - ddof), the covariance per sample."""
    a, b = pair.a, pair.b
    if a.k <= ddof or _is_unknown(pair, omit_nan=omit_nan):
        return math.nan
    return rounding.ratio(pair.ab * a.n - a.s1 * b.s1, a.n * (a.k - ddof) << S2_BITS)


def correlation(pair: Pair, *, omit_nan: bool) -> float:
    """Return Pearson's correlation; NaN if a or b is constant."""
    a, b = pair.a, pair.b
    if a.k < 2 or _is_unknown(pair, omit_nan=omit_nan):
        return math.nan
    covariance = pair.ab * a.n - a.s1 * b.s1
    variances = (a.s2 * a.n - a.s1**2) * (b.s2 * b.n - b.s1**2)
    if variances == 0:
        return math.nan
    # The root of one exact quotient is rounded once; a quotient of two roots would be rounded three times.
    size = rounding.root(covariance**2, variances)
    return -size if covariance < 0 else size


def _is_unknown(pair: Pair, *, omit_nan: bool) -> bool:
    return bool(pair.inf or (pair.nan and not omit_nan))
