"""Dates and lengths of time as users write and read them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis.strategies import dates, floats

from results.moments import age_text, parse_moment, parse_seconds, span_text


@given(dates())
def test_a_day_begins_and_ends_at_midnight_utc(day: object) -> None:
    if str(day) == "9999-12-31":
        return
    moment = parse_moment(str(day))
    assert moment is not None
    assert moment[0] == datetime.fromisoformat(str(day)).replace(tzinfo=UTC)
    assert moment[1] - moment[0] == timedelta(days=1)


@pytest.mark.parametrize(("text", "days"), [("2024-02", 29), ("2026-02", 28), ("2026-12", 31), ("2024", 366)])
def test_months_and_years_have_their_days(text: str, days: int) -> None:
    moment = parse_moment(text)
    assert moment is not None
    assert (moment[1] - moment[0]).days == days


def test_a_time_with_an_offset_is_the_same_moment_in_utc() -> None:
    moment = parse_moment("2026-11-01T12:00+02:00")
    assert moment == (datetime(2026, 11, 1, 10, tzinfo=UTC),) * 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5 h", 5400), ("2d", 172_800), ("5min", 300), ("soon", None)]
)
def test_lengths_of_time_are_read(text: str, seconds: float | None) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0021, "2.1 ms"),
        (2.31, "2.31 s"),
        (59.4, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3780, "1 h 3 min"),
        (3599.9, "60 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_length_of_time_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


@given(floats(60, 1e7))
def test_what_is_printed_is_right_to_half_of_the_smaller_unit(seconds: float) -> None:
    parts = span_text(seconds).split()
    units = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
    printed = sum(int(number) * units[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))
    smaller = {"min": 1, "h": 60, "d": 3600}[parts[1]]
    assert abs(printed - seconds) <= smaller / 2 + 1e-6


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (7199, "1 h"), (86_400 * 40, "40 d")])
def test_an_age_has_its_largest_unit(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
