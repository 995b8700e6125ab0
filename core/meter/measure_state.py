"""The state of one measure as a dict for JSON: integers and floats as hexadecimal text, and checks when it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.meter.float_bits import from_hex, order, to_hex
from core.meter.measure import COUNT_BITS, S1_BITS, S2_BITS, Measure

# Only what hex() writes: int() would take "0x_1f", "0X1F" and spaces, too.
_INTEGER = re.compile(r"0x0|-?0x[1-9a-f][0-9a-f]*")
_FLOATS = ("min", "max")
_DOUBLE_BITS = 1024  # finite values are below 2**1024


def to_fields(measure: Measure) -> dict[str, str | None]:
    """Return the fields as text, or None for the min and max of no observations."""
    return {
        field: (None if value is None else to_hex(value)) if field in _FLOATS else hex(value)
        for field, value in measure._asdict().items()
    }


def from_fields(where: str, fields: object, policy: str) -> Measure:
    """Return the measure whose fields are given.

    Args:
        where: What the fields belong to, for error messages.
        fields: As from :func:`to_fields`.
        policy: The meter's nan_policy.

    Raises:
        ValueError: :func:`to_fields` does not write such fields, or no observations can lead to such a state.
    """
    check_keys(where, fields, Measure._fields)
    assert isinstance(fields, Mapping)
    read = {field: _float_or_none if field in _FLOATS else integer for field in Measure._fields}
    measure = Measure(**{field: read[field](where, field, fields[field]) for field in Measure._fields})
    if reason := _contradiction(measure, policy):
        raise ValueError(f"{where}: {reason}")
    return measure


def check_keys(where: str, fields: object, expected: tuple[str, ...]) -> None:
    """Raise ValueError if ``fields`` is not a mapping with exactly the expected keys."""
    if not isinstance(fields, Mapping) or set(fields) != set(expected):
        came = sorted(map(str, fields)) if isinstance(fields, Mapping) else type(fields).__name__
        raise ValueError(f"{where}: got {came}; accepted: exactly {', '.join(expected)}")


def integer(where: str, field: str, text: object) -> Any:
    """Return the integer that ``hex`` wrote as ``text``; ValueError for any other text."""
    if isinstance(text, str) and _INTEGER.fullmatch(text):
        return int(text, 16)
    raise ValueError(f"{where}: got {field} {_short(text)}; accepted: a lowercase hex string such as '0x1f'")


def _float_or_none(where: str, field: str, text: object) -> Any:
    if text is None:
        return None
    try:
        if isinstance(text, str):
            return from_hex(text)
    except ValueError:
        pass
    raise ValueError(f"{where}: got {field} {_short(text)}; accepted: a float.hex string or None")


def _short(text: object) -> str:
    shown = repr(text)
    # A damaged file may hold megabytes of text where a number should be.
    return shown if len(shown) <= 60 else f"{shown[:40]}... ({len(shown)} characters)"


def _contradiction(m: Measure, policy: str) -> str:
    """Return the reason why no observations can lead to this state, or "" if some can."""
    infinite = m.posinf + m.neginf
    rules = {
        "a count is negative": min(m.k, m.n, m.nan, m.posinf, m.neginf) < 0,
        "a count is beyond what a meter holds": max(m.k, m.n, m.nan) >> COUNT_BITS > 0,
        "there are fewer samples than observations": m.n < m.k,
        "there are samples without observations": bool(m.n and not m.k),
        "there are more infinities than observations": infinite > m.k,
        "min and max do not fit the number of observations": (m.min is None or m.max is None) != (m.k == 0),
        "nan_policy is 'raise', yet there are NaNs": policy == "raise" and m.nan > 0,
    }
    if reason := next((reason for reason, broken in rules.items() if broken), ""):
        return reason
    return _contradiction_of_values(m, m.n - infinite, infinite)


def _contradiction_of_values(m: Measure, most_finite_samples: int, infinite: int) -> str:
    if m.min is None or m.max is None:
        return "there are sums without observations" if m.s1 or m.s2 or m.min != m.max else ""
    low, high = order(m.min), order(m.max)
    rules = {
        "min is above max": low > high,
        "a zero is written as -0.0": "-0x0.0p+0" in (to_hex(m.min), to_hex(m.max)),
        "there is a +inf that max does not show": bool(m.posinf) and m.max != float("inf"),
        "there is a -inf that min does not show": bool(m.neginf) and m.min != float("-inf"),
        "there are sums without finite observations": m.k == infinite and bool(m.s1 or m.s2),
        "s2 is negative": m.s2 < 0,
        "s1 is larger than its observations can be": abs(m.s1) > most_finite_samples << (S1_BITS + _DOUBLE_BITS),
        "s2 is larger than its observations can be": m.s2 > most_finite_samples << (S2_BITS + 2 * _DOUBLE_BITS),
        # Cauchy-Schwarz: (Σwx)² <= Σw · Σwx²
        "s2 is smaller than s1 allows": m.s2 * most_finite_samples < m.s1 * m.s1,
    }
    return next((reason for reason, broken in rules.items() if broken), "")
