"""Measure: the exact state of one measure, in the integers that both engines speak."""

from typing import NamedTuple

from core.meter.float_bits import nearest, order, parts

S1_BITS = 1074  #: s1 counts in units of 2**-1074, the smallest double.
S2_BITS = 2 * S1_BITS  #: s2 counts in units of 2**-2148, its square.

#: Counts beyond 2**126 are refused. Storage holds 2**127, and no number of updates gets from one to the other.
COUNT_BITS = 126


class Measure(NamedTuple):
    """What is known of one measure: counts, exact sums, extremes. Immutable; ``merge`` adds two.

    Observations of a NaN are counted in ``nan`` and nowhere else. Those of an infinity are in ``k``, ``n``, ``min``
    and ``max``, and not in the sums.
    """

    k: int = 0  #: observations
    n: int = 0  #: samples, the sum of the weights w
    s1: int = 0  #: sum of w*x in units of 2**-1074
    s2: int = 0  #: sum of w*x*x in units of 2**-2148
    min: float | None = None  #: smallest value, None when k is 0
    max: float | None = None  #: largest value, None when k is 0
    nan: int = 0  #: observations that were NaN
    posinf: int = 0  #: observations that were +inf
    neginf: int = 0  #: observations that were -inf

    def merge(self, other: "Measure") -> "Measure":
        """Return the state of both measures' observations; exact, associative, commutative."""
        return Measure(
            self.k + other.k,
            self.n + other.n,
            self.s1 + other.s1,
            self.s2 + other.s2,
            _smaller(self.min, other.min),
            _larger(self.max, other.max),
            self.nan + other.nan,
            self.posinf + other.posinf,
            self.neginf + other.neginf,
        )


def _smaller(a: float | None, b: float | None) -> float | None:
    """Return the smaller of two values, either of which may be missing."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b, key=order)


def _larger(a: float | None, b: float | None) -> float | None:
    """Return the larger of two values, either of which may be missing."""
    if a is None or b is None:
        return b if a is None else a
    return max(a, b, key=order)


def of_integer(x: int, w: int = 1) -> Measure:
    """Return the state after one observation ``x``, the mean of ``w`` samples."""
    value = nearest(x)
    return Measure(1, w, (w * x) << S1_BITS, (w * x * x) << S2_BITS, value, value)


def of_float(x: float, w: int = 1) -> Measure:
    """Return the state after one observation ``x``, the mean of ``w`` samples."""
    if x != x:
        return Measure(nan=1)
    if x in (float("inf"), float("-inf")):
        return Measure(1, w, min=x, max=x, posinf=int(x > 0), neginf=int(x < 0))
    m, e = parts(x)
    value = x if m else 0.0
    return Measure(1, w, (w * m) << e, (w * m * m) << (2 * e), value, value)
