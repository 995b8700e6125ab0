"""Measure: the exact state of one measure in Python integers; both engines read and write it."""

from math import isinf, isnan
from typing import NamedTuple

from core.meter.float_bits import nearest, order, parts

S1_BITS = 1074  #: s1 is in units of 2**-1074, the smallest positive double.
S2_BITS = 2 * S1_BITS  #: s2 is in units of 2**-2148, the square of it.

#: Counts of 2**126 and more are refused. The C++ engine's storage has room for the sum of two counts below that.
COUNT_BITS = 126


class Measure(NamedTuple):
    """The state of one measure: counts, exact sums and extremes. Immutable; ``merge`` adds two of them.

    A NaN is counted in ``nan`` and nowhere else. An infinity is counted in ``k`` and ``n`` and is part of ``min`` and
    ``max``, but not of the sums.
    """

    k: int = 0  #: number of observations
    n: int = 0  #: number of samples, the sum of the weights w
    s1: int = 0  #: sum of w*x, in units of 2**-1074
    s2: int = 0  #: sum of w*x*x, in units of 2**-2148
    min: float | None = None  #: smallest value, None when k is 0
    max: float | None = None  #: largest value, None when k is 0
    nan: int = 0  #: number of NaNs
    posinf: int = 0  #: number of observations that were +inf
    neginf: int = 0  #: number of observations that were -inf

    def merge(self, other: "Measure") -> "Measure":
        """Return the state of the observations of both. Exact, associative and commutative."""
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
    """Return the smaller of two values; None means that there is no value."""
    if a is None or b is None:
        return b if a is None else a
    # By bits: a comparison of floats takes subnormals for 0 in a flush-to-zero mode.
    return min(a, b, key=order)


def _larger(a: float | None, b: float | None) -> float | None:
    """Return the larger of two values; None means that there is no value."""
    if a is None or b is None:
        return b if a is None else a
    return max(a, b, key=order)


def of_integer(x: int, w: int = 1) -> Measure:
    """Return the state after one observation ``x`` that is the mean of ``w`` samples."""
    value = nearest(x)
    return Measure(1, w, (w * x) << S1_BITS, (w * x * x) << S2_BITS, value, value)


def of_float(x: float, w: int = 1) -> Measure:
    """Return the state after one observation ``x`` that is the mean of ``w`` samples."""
    if isnan(x):  # x != x would be an invalid operation in Python 3.12 and newer, which compares x and x by order
        return Measure(nan=1)
    if isinf(x):
        return Measure(1, w, min=x, max=x, posinf=int(x > 0), neginf=int(x < 0))
    m, e = parts(x)
    # -0.0 becomes +0.0, since which of the two came first must not show in the state.
    value = x if m else 0.0
    return Measure(1, w, (w * m) << e, (w * m * m) << (2 * e), value, value)
