"""Doubles by their bits: order, hex and parts, also where the processor takes subnormals for zero."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.meter import float_bits

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.floats(allow_nan=False)


@given(a=NUMBERS, b=NUMBERS)
def test_order_sorts_as_the_values_do(a, b) -> None:
    assert (float_bits.order(a) < float_bits.order(b)) == (a < b)
    assert (float_bits.order(a) == float_bits.order(b)) == (a == b)


@given(x=NUMBERS)
def test_order_and_hex_lead_back(x) -> None:
    assert struct.pack("<d", float_bits.from_order(float_bits.order(x))) == struct.pack("<d", x + 0.0)
    assert float_bits.to_hex(x) == x.hex()
    assert float_bits.from_hex(x.hex()) == x


@given(x=FINITE)
def test_parts_are_the_value(x) -> None:
    m, e = float_bits.parts(x)
    p, q = x.as_integer_ratio()
    assert (m << e) * q == p << 1074
    assert e >= 0


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0, 0.0),
        (2**53 + 1, 2.0**53),
        (-(2**53) - 3, -(2.0**53) - 4),
        (2**63 - 1, 2.0**63),
        (2**1024 - 2**970 - 1, 1.7976931348623157e308),
        (2**1024 - 2**970, math.inf),
        (-(2**1024), -math.inf),
    ],
)
def test_an_integer_goes_to_the_nearest_double_ties_to_even(x, expected) -> None:
    assert float_bits.nearest(x) == expected


@pytest.mark.parametrize("text", ["0x1p+0", "1.5", "nan", "0x1.8p+0", "abc", "", "0x1p+99999", "-0x0.0p+00", " inf"])
def test_other_forms_of_a_float_are_refused(text) -> None:
    with pytest.raises(ValueError, match="float"):
        float_bits.from_hex(text)
