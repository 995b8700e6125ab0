"""The one rounding: to nearest, ties to even, over the whole range of the doubles."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_reference import is_root, same

from core.meter import rounding

SHIFTS = st.integers(-2300, 2300)


def scaled(m: int, shift: int) -> Fraction:
    return Fraction(m) * Fraction(2) ** shift


def beyond(x: float) -> Fraction:
    """Return a double as a rational, an infinity as the power of two that follows the largest."""
    return Fraction(x) if math.isfinite(x) else Fraction(2**1024 if x > 0 else -(2**1024))


def is_nearest(value: float, exact: Fraction) -> bool:
    """Say whether ``exact`` lies between the midpoints to the value's neighbours."""
    neighbours = [math.nextafter(value, -math.inf), math.nextafter(value, math.inf)]
    below, here, above = (beyond(x) for x in (neighbours[0], value, neighbours[1]))
    if math.isinf(value):
        return exact >= (below + here) / 2 if value > 0 else exact <= (here + above) / 2
    return (below + here) / 2 <= exact <= (here + above) / 2


@settings(max_examples=500, deadline=None)
@given(m=st.integers(-(2**200), 2**200), q=st.integers(1, 2**200), shift=SHIFTS)
def test_a_ratio_is_the_nearest_double(m, q, shift) -> None:
    p, q = (m << shift, q) if shift >= 0 else (m, q << -shift)
    assert is_nearest(rounding.ratio(p, q), Fraction(p, q))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("exact", "expected"),
    [
        (scaled(1, -1075), 0.0),  # half the smallest: to even, and as +0.0
        (scaled(3, -1076), 5e-324),
        (scaled(3, -1075), 1e-323),
        (scaled(5, -1075), 1e-323),
        (scaled(2**53 - 1, -1075), 2.0**-1022),  # half way between the largest subnormal and the smallest normal
        (scaled(2**53 - 3, -1075), (2**52 - 2) * 5e-324),
        (scaled(2**53 + 1, 0), 2.0**53),
        (scaled(2**53 + 3, 0), 2.0**53 + 4),
        (scaled(2**54 - 1, 970), math.inf),  # half way beyond the largest
        (scaled(2**55 - 3, 969), math.nextafter(math.inf, 0)),
        (scaled(1, 5000), math.inf),
        (scaled(1, -5000), 0.0),
    ],
)
def test_ties_go_to_even_and_zeros_are_positive(sign, exact, expected) -> None:
    value = rounding.ratio(sign * exact.numerator, exact.denominator)
    assert same(value, 0.0 if expected == 0 else sign * expected)


@settings(max_examples=500, deadline=None)
@given(p=st.integers(1, 2**300), q=st.integers(1, 2**300), shift=SHIFTS, scale=st.integers(-100, 1200))
def test_a_root_is_the_nearest_double(p, q, shift, scale) -> None:
    p, q = (p << shift, q) if shift >= 0 else (p, q << -shift)
    assert is_root(rounding.root(p, q, scale), Fraction(p, q) / Fraction(4) ** scale)


@settings(max_examples=300, deadline=None)
@given(m=st.integers(2**52, 2**53 - 1), shift=st.integers(-500, 500), nudge=st.sampled_from([-1, 0, 1]))
def test_a_root_next_to_a_tie_goes_to_the_right_side(m, shift, nudge) -> None:
    """(m + 1/2)², a hair less, and a hair more: the tie itself goes to the even neighbour."""
    exact = (scaled(2 * m + 1, -1) ** 2 + scaled(nudge, -400)) * Fraction(4) ** shift
    expected = m + (nudge > 0 or (nudge == 0 and m % 2))
    assert rounding.root(exact.numerator, exact.denominator) == math.ldexp(expected, shift)


@given(p=st.integers(2**60, 2**64), shift=st.integers(1070, 1120))
def test_roots_in_the_subnormal_range_are_rounded_once(p, shift) -> None:
    assert is_root(rounding.root(p, 1, shift), Fraction(p) / Fraction(4) ** shift)


def test_a_root_of_zero_is_zero() -> None:
    assert same(rounding.root(0, 7), 0.0)
