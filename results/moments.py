"""Dates and lengths of time as users write and read them: 2026-11-01, 1 h 3 min."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from core.utils.formatting import format_duration

_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_LENGTH = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(s|sec|min|m|h|d|days?)?")
_UNITS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "day": 86_400, "days": 86_400}
_STEPS = (("d", 86_400), ("h", 3600), ("min", 60))


class Seconds(float):
    """A length of time in seconds. A condition may compare it with 90s, 5min, 2h or 3d."""

    __slots__ = ()


def parse_moment(text: str) -> tuple[datetime, datetime] | None:
    """Return the first moment that a date or time names and the end of what it names; None if it is no date.

    ``2026-11-01`` names a day and ``2026-11`` a month, in UTC. A time of day names a moment, so both are equal; it is
    in UTC unless it has an offset.
    """
    match = _DATE.fullmatch(text)
    try:
        if match is None:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return moment, moment
        year, month, day = (None if part is None else int(part) for part in match.groups())
        start = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
        if day is not None:
            return start, start + timedelta(days=1)
        if month is not None:
            return start, datetime(start.year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return start, datetime(start.year + 1, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def parse_seconds(text: str) -> float | None:
    """Return a length of time in seconds, such as 5400 for "1.5h"; None if the text is none."""
    match = _LENGTH.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _UNITS[match[2] or "s"]


def read_time(text: str | None) -> datetime | None:
    """Return a time as files hold it; None if it is missing or cannot be read. Without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def span_text(seconds: float) -> str:
    """Return a length of time in its two largest units, such as "2 d 4 h", "1 h 3 min" or "2.31 s"."""
    if seconds < 60:
        return format_duration(seconds) if seconds < 10 else f"{seconds:.0f} s"
    for i, (name, scale) in enumerate(_STEPS):
        if seconds >= scale:
            lower_name, lower = _STEPS[i + 1] if i + 1 < len(_STEPS) else ("s", 1)
            whole, rest = divmod(int(seconds / lower + 0.5) * lower, scale)
            return f"{whole} {name} {rest // lower} {lower_name}" if rest else f"{whole} {name}"
    return f"{seconds:.0f} s"


def age_text(seconds: float) -> str:
    """Return an age in its largest unit, such as "3 d", "5 h" or "12 min"."""
    for name, scale in _STEPS:
        if seconds >= scale:
            return f"{int(seconds // scale)} {name}"
    return f"{max(int(seconds), 0)} s"
