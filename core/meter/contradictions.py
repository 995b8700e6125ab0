"""States that no observations can lead to, such as a mean above the maximum. A state is checked when it is loaded."""

from __future__ import annotations

from core.meter.float_bits import FRACTION_BITS, order, parts, to_hex
from core.meter.measure import COUNT_BITS, S1_BITS, S2_BITS, Measure

_DOUBLE_BITS = 1024  # finite values are below 2**1024
_INFINITY = float("inf")
#: The smallest integer whose nearest double is infinite, in units of 2**-1074. Integers below 2**1024 are accepted.
_ROUNDS_TO_INFINITY = ((1 << _DOUBLE_BITS) - (1 << _DOUBLE_BITS - FRACTION_BITS - 2)) << S1_BITS


def of_measure(m: Measure, policy: str) -> str:
    """Return the reason why no observations can lead to this state under this nan_policy, or "" if some can."""
    infinite = m.posinf + m.neginf
    rules = {
        "a count is negative": min(m.k, m.n, m.nan, m.posinf, m.neginf) < 0,
        "a count is beyond what a meter holds": max(m.k, m.n, m.nan) >> COUNT_BITS > 0,
        "there are fewer samples than observations": m.n < m.k,
        "there are samples without observations": bool(m.n and not m.k),
        "there are more infinities than observations": infinite > m.k,
        "min and max do not fit the number of observations": (m.min is None or m.max is None) != (m.k == 0),
        "nan_policy is 'raise', but there are NaNs": policy == "raise" and m.nan > 0,
    }
    if reason := next((reason for reason, broken in rules.items() if broken), ""):
        return reason
    if m.min is None or m.max is None:
        return "there are sums without observations" if m.s1 or m.s2 or m.min != m.max else ""
    return _of_extremes(m, m.min, m.max) or _of_sums(m, m.min, m.max)


def _of_extremes(m: Measure, low: float, high: float) -> str:
    # A finite integer can be so large that its nearest double, which is what min and max hold, is infinite.
    has_huge_integer = m.s2 >= _ROUNDS_TO_INFINITY**2
    rules = {
        "min is above max": order(low) > order(high),
        "a zero is written as -0.0": "-0x0.0p+0" in (to_hex(low), to_hex(high)),
        "there is a +inf that max does not show": bool(m.posinf) and high != _INFINITY,
        "there is a -inf that min does not show": bool(m.neginf) and low != -_INFINITY,
        "max is +inf, yet no +inf was counted": high == _INFINITY and not (m.posinf or has_huge_integer),
        "min is -inf, yet no -inf was counted": low == -_INFINITY and not (m.neginf or has_huge_integer),
        "one observation has two values, min and max": m.k == 1 and order(low) != order(high),
    }
    return next((reason for reason, broken in rules.items() if broken), "")


def _of_sums(m: Measure, low: float, high: float) -> str:
    infinite = m.posinf + m.neginf
    # The samples of an observation that is infinite are not counted apart: one at least, and n at most.
    most, fewest = m.n - infinite, m.k - infinite
    (least, _), (_, largest) = _bounds(low), _bounds(high)
    rules = {
        "there are sums without finite observations": fewest == 0 and bool(m.s1 or m.s2),
        "s2 is negative": m.s2 < 0,
        "s1 is larger than its observations can be": abs(m.s1) > most << (S1_BITS + _DOUBLE_BITS),
        "s2 is larger than its observations can be": m.s2 > most << (S2_BITS + 2 * _DOUBLE_BITS),
        # Cauchy-Schwarz: (Σwx)² <= Σw · Σwx²
        "s2 is smaller than s1 allows": m.s2 * most < m.s1 * m.s1,
    }
    if not infinite:
        one_of_each = min(m.k, 2) - 1  # min and max are of different observations, unless there is one only
        rules |= {
            "the mean is below min": m.s1 < (m.n - one_of_each) * least + one_of_each * _bounds(high)[0],
            "the mean is above max": m.s1 > (m.n - one_of_each) * largest + one_of_each * _bounds(low)[1],
            # Σw(x - min)(max - x) >= 0
            "s2 is larger than min and max allow": m.s2 > (least + largest) * m.s1 - m.n * least * largest,
        }
    elif fewest:
        rules |= {
            "the mean is below min": m.s1 < least * (most if least < 0 else fewest),
            "the mean is above max": m.s1 > largest * (fewest if largest < 0 else most),
        }
    return next((reason for reason, broken in rules.items() if broken), "")


def _bounds(extreme: float) -> tuple[int, int]:
    """Return the least and the largest number, in units of 2**-1074, whose nearest double is ``extreme``.

    They differ only from 2**53 on, where the number may have been an integer that no double equals.
    """
    if extreme in (_INFINITY, -_INFINITY):
        beyond = 1 << (S1_BITS + _DOUBLE_BITS)
        return (_ROUNDS_TO_INFINITY, beyond) if extreme > 0 else (-beyond, -_ROUNDS_TO_INFINITY)
    m, e = parts(extreme)
    value = m << e
    half = 1 << max(e - 1, 0) if e > S1_BITS else 0  # half the distance to the neighbour away from 0
    return value - half, value + half
