"""Numbers as people read them; expected strings follow the usual rule of two significant digits of the error."""

import math

import pytest

from core.utils.formatting import format_duration, format_mean_error

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (0.12345, 0.0012, "0.1235 ± 0.0012"),
        (-3.14159, 0.001, "-3.1416 ± 0.0010"),
        (99999.0, 0.5, "99999.00 ± 0.50"),
        (0.0, 0.5, "0.00 ± 0.50"),
        (1e-20, 1.0, "0.0 ± 1.0"),
        (0.0995, 0.00997, "0.100 ± 0.010"),
        (200.0, 100.0, "200 ± 100"),
        (350.4, 120.0, "350 ± 120"),
        (-999.0, 99.6, "-999 ± 100"),
        (1e6, 1e5, "(1.00 ± 0.10)e+06"),
        (12.5, 0.0, "12.5 ± 0"),
        (0.1, 0.0, "0.1 ± 0"),
        (12.5, NAN, "12.5 ± unknown"),
        (NAN, NAN, "nan ± unknown"),
        (NAN, 0.5, "nan ± 0.5"),
        (INF, NAN, "inf ± unknown"),
        (1.0, INF, "1 ± inf"),
        (1e300, 1e299, "(1.00 ± 0.10)e+300"),
        (1e-300, 1e-302, "(1.000 ± 0.010)e-300"),
        (1.7e308, 1.7e308, "(1.7 ± 1.7)e+308"),
        (1e300, 1e-300, "1e+300 ± 1e-300"),
        (1e16, 0.5, "1e+16 ± 0.5"),
        (5e-324, 5e-324, "5e-324 ± 4.9e-324"),
    ],
)
def test_a_mean_is_cut_by_the_digits_of_its_error(mean: float, error: float, text: str) -> None:
    assert format_mean_error(mean, error) == text


@pytest.mark.parametrize("exponent", range(-320, 309, 7))
def test_no_value_prints_longer_than_a_line(exponent: int) -> None:
    for error in (0.0, 1.3e-320, 1e-300, 1e-20, 1.0, 1e20, 1e300, NAN, INF):
        assert len(format_mean_error(float(f"1.2345678e{exponent}"), error)) <= 45


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3e-9, "3 ns"),
        (2.5e-5, "25 µs"),
        (0.03, "30 ms"),
        (1.0, "1 s"),
        (0.9996, "1 s"),
        (0.99949, "999 ms"),
        (90.0, "90 s"),
        (150.0, "2.5 min"),
        (9000.0, "2.5 h"),
        (0.0, "0 s"),
        (NAN, "nan s"),
    ],
)
def test_a_duration_is_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_duration_and_its_error_share_one_unit() -> None:
    assert format_duration(0.0123, 0.00045) == "(12.30 ± 0.45) ms"


@pytest.mark.parametrize(
    ("seconds", "error_s", "text"),
    [(0.2, 0.1, "(200 ± 100) ms"), (150.0, 300.0, "(2.5 ± 5.0) min"), (NAN, NAN, "unknown"), (NAN, 0.1, "unknown")],
)
def test_a_duration_is_printed_without_powers_of_ten(seconds: float, error_s: float, text: str) -> None:
    assert format_duration(seconds, error_s) == text
