"""Rounding: turns the exact state of a measure into float64 results. Both engines use it.

Every result is a rational number, or the square root of one, rounded once to the nearest double, ties to even.
CPython's ``int / int`` rounds a quotient that way. A square root is computed by ``math.isqrt`` with more bits than a
double has; its last bit is sticky: it is set if the root is not exact, so that rounding sees which side of a tie it is.
"""

import math

from core.meter.float_bits import from_order
from core.meter.measure import S1_BITS, S2_BITS, Measure

_SMALLEST_NORMAL = 2.0**-1022
_FLOAT_BITS = 53  #: The precision of a double.
_ROOT_BITS = 64  #: Bits of a root before rounding. 53 and one for ties would do.


def ratio(p: int, q: int) -> float:
    """Return p / q (q > 0) rounded once: ±inf beyond the range of doubles, and +0.0 for every zero."""
    if q.bit_length() <= _FLOAT_BITS:
        # CPython divides small integers as floats, in the rounding mode of the processor, and large ones as integers.
        p, q = p << _FLOAT_BITS, q << _FLOAT_BITS
    try:
        value = p / q
    except OverflowError:
        return math.inf if p > 0 else -math.inf
    if p and abs(value) < _SMALLEST_NORMAL:  # int / int is wrong here in a flush-to-zero mode: round in integers
        units, rest = divmod(abs(p) << S1_BITS, q)
        units += 2 * rest > q or (2 * rest == q and units & 1)
        return from_order(units if p > 0 else -units)
    return value


def root(p: int, q: int, scale: int = 0) -> float:
    """Return sqrt(p / q) / 2**scale (p >= 0, q > 0) rounded once."""
    if p == 0:
        return 0.0
    # p / q times 4**shift has about 2 * _ROOT_BITS bits, and its root is that of p / q times 2**shift.
    shift = _ROOT_BITS - (p.bit_length() - q.bit_length()) // 2
    p, q = (p << 2 * shift, q) if shift >= 0 else (p, q << -2 * shift)
    square, rest = divmod(p, q)
    r = math.isqrt(square)
    sticky = 2 * r + bool(rest or r * r != square)
    scale += shift + 1
    return ratio(sticky, 1 << scale) if scale >= 0 else ratio(sticky << -scale, 1)


def mean(measure: Measure, *, omit_nan: bool) -> float:
    """Return s1 / n; NaN if there is no data, or if a NaN came and ``omit_nan`` is false."""
    if not measure.k or (measure.nan and not omit_nan):
        return math.nan
    if measure.posinf or measure.neginf:
        # By cases: inf - inf is an invalid operation, which may be a fatal error for the process.
        if measure.posinf and measure.neginf:
            return math.nan
        return math.inf if measure.posinf else -math.inf
    return ratio(measure.s1, measure.n << S1_BITS)


def total(measure: Measure, *, omit_nan: bool) -> float:
    """Return s1; 0 if there is no data, and NaN or infinite in the same cases as :func:`mean`."""
    if not measure.k and (omit_nan or not measure.nan):
        return 0.0
    if measure.posinf or measure.neginf or measure.nan:
        special = mean(measure, omit_nan=omit_nan)
        if not math.isfinite(special):
            return special
    return ratio(measure.s1, 1 << S1_BITS)


def variance(measure: Measure, ddof: int, *, omit_nan: bool) -> float:
    """Return (s2 - s1²/n) / (k - ddof), the variance per sample; NaN in the same cases as :func:`std`."""
    if _has_no_variance(measure, ddof, omit_nan=omit_nan):
        return math.nan
    return ratio(measure.s2 * measure.n - measure.s1**2, measure.n * (measure.k - ddof) << S2_BITS)


def std(measure: Measure, ddof: int, *, omit_nan: bool) -> float:
    """Return sqrt((s2 - s1²/n) / (k - ddof)), the standard deviation per sample."""
    return _root_of_variance(measure, ddof, 1, omit_nan=omit_nan)


def error(measure: Measure, ddof: int, *, omit_nan: bool) -> float:
    """Return sqrt(variance / n), the standard error of the mean."""
    return _root_of_variance(measure, ddof, measure.n, omit_nan=omit_nan)


def extreme(value: float | None, measure: Measure, *, omit_nan: bool) -> float:
    """Return ``value``, which is the measure's min or max; NaN in the same cases as :func:`mean`."""
    return math.nan if value is None or (measure.nan and not omit_nan) else value


def _root_of_variance(measure: Measure, ddof: int, divisor: int, *, omit_nan: bool) -> float:
    """Return sqrt((s2 - s1²/n) / (k - ddof) / divisor).

    NaN if ``k <= ddof``, if there was an infinity, or if a NaN came and ``omit_nan`` is false.
    """
    if _has_no_variance(measure, ddof, omit_nan=omit_nan):
        return math.nan
    # s2·n - s1² is a difference of integers. In floats it would cancel where the mean is large against the spread.
    s1, s2, n = measure.s1, measure.s2, measure.n
    spare = _spare_bits(s1, s2)
    s1, s2 = s1 >> spare, s2 >> 2 * spare
    return root(s2 * n - s1 * s1, n * (measure.k - ddof) * divisor, S1_BITS - spare)


def _has_no_variance(measure: Measure, ddof: int, *, omit_nan: bool) -> bool:
    infinite = measure.posinf or measure.neginf
    return bool(measure.k <= ddof or infinite or (measure.nan and not omit_nan))


def _spare_bits(s1: int, s2: int) -> int:
    """Return z such that 2**z divides s1 and 4**z divides s2. Without these zero bits, the integers square faster."""
    if not s1:
        s1 = s2
    return min((s1 & -s1).bit_length(), ((s2 & -s2).bit_length() + 1) // 2) - 1 if s2 else 0
