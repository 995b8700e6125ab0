import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis.strategies import floats, integers, lists

from core.utils.formatting import format_mean_error
from results.text.numbers import aligned_at_error, cut_at, mean_error, percentages


@given(mean=floats(-2e6, 2e6) | floats(-1e-3, 1e-3), error=floats(0, 20) | floats(0, 1e-3))
@example(mean=0.5, error=0.00996)
@example(mean=0.5, error=0.995)
@example(mean=99999.5, error=0.5)
@example(mean=0.00012, error=9.99e-5)
def test_the_fast_format_prints_what_core_prints(mean: float, error: float) -> None:
    assert mean_error(mean, error) == format_mean_error(mean, error)


@given(exponent=floats(-11, 2), mean=floats(-1, 1))
def test_the_fast_format_agrees_for_errors_of_every_size(exponent: float, mean: float) -> None:
    assert mean_error(mean, 10**exponent) == format_mean_error(mean, 10**exponent)


@pytest.mark.parametrize("mean", [0.0, -0.0, 1.5, math.nan, math.inf, 1e300, 1e-300])
@pytest.mark.parametrize("error", [0.0, math.nan, math.inf, 1e-300, 1e300, 5e-324])
def test_the_fast_format_agrees_in_every_corner(mean: float, error: float) -> None:
    assert mean_error(mean, error) == format_mean_error(mean, error)


@given(number=floats(-1e150, 1e150), exponent=floats(-20, 150))
@example(number=12345.6, exponent=math.log10(20))
@example(number=1e-7, exponent=-11)
@example(number=0.0, exponent=9)
def test_a_number_is_cut_no_earlier_than_at_the_second_digit_of_its_error(number: float, exponent: float) -> None:
    error = 10**exponent
    text = cut_at(number, error, "+")
    second_digit = Fraction(10) ** (math.floor(math.log10(float(f"{error:.1e}")) + 1e-9) - 1)
    rounding = abs(Fraction(number)) / 2**52
    assert abs(Fraction(text) - Fraction(number)) <= second_digit / 2 + rounding
    assert text[0] in "+-"


def test_a_number_is_cut_by_its_error() -> None:
    assert cut_at(12345.6, 20) == "12346"
    assert cut_at(1234567890.4, 20) == "1234567890"
    assert cut_at(12345678, 2e4) == "1.2346e+07"
    assert cut_at(1.0000123e-7, 3.1e-12, "+") == "+1.000012e-07"
    assert cut_at(0.123456, 0.0123) == "0.123"
    assert cut_at(0.1234567, math.nan) == "0.123457"


def test_signs_of_error_are_aligned() -> None:
    assert aligned_at_error(["12.5 ± 0.1", "3.25 ± 0.02", "missing"]) == ["12.5 ± 0.1", "3.25 ± 0.02", "missing"]
    assert aligned_at_error(["12.55 ± 0.10", "3.5 ± 0.2"]) == ["12.55 ± 0.10", "  3.5 ± 0.2"]


def test_percentages_of_a_whole_add_to_100() -> None:
    # By Hamilton's method: 33.3 and 33.3 keep 33, and 33.4 has the largest remainder. Rounded alone, 17, 17 and 67.
    assert percentages([0.333, 0.333, 0.334]) == [33, 33, 34]
    assert percentages([1 / 6, 1 / 6, 2 / 3]) in ([17, 17, 66], [17, 16, 67], [16, 17, 67])
    assert percentages([1.0, 0.0, 0.0]) == [100, 0, 0]


@given(parts=lists(integers(0, 10**6), min_size=1, max_size=6).filter(any))
def test_a_percentage_differs_from_its_share_by_less_than_one_point(parts: list[int]) -> None:
    shares = [part / sum(parts) for part in parts]
    found = percentages(shares)
    assert sum(found) == 100
    assert all(abs(one - 100 * share) <= 1 for one, share in zip(found, shares, strict=True))
