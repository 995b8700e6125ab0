"""The state of one measure as a dict for JSON: integers and floats as hexadecimal text, and checks when it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.meter.contradictions import of_measure
from core.meter.float_bits import from_hex, to_hex
from core.meter.measure import Measure

# The largest sum: 2**126 samples, each the square of a number below 2**1024, in units of 2**-2148. Checked before any
# arithmetic, which takes minutes with integers of millions of digits.
MOST_HEX_CHARACTERS = len("-0x") + (126 + 2 * 1024 + 2148) // 4 + 1

# Only what hex() writes: int() would take "0x_1f", "0X1F" and spaces, too.
_INTEGER = re.compile(r"0x0|-?0x[1-9a-f][0-9a-f]*")
_FLOATS = ("min", "max")


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
    if reason := of_measure(measure, policy):
        raise ValueError(f"{where}: {reason}")
    return measure


def check_keys(where: str, fields: object, expected: tuple[str, ...]) -> None:
    """Raise ValueError if ``fields`` is not a mapping with exactly the expected keys."""
    if not isinstance(fields, Mapping) or set(fields) != set(expected):
        came = sorted(map(str, fields)) if isinstance(fields, Mapping) else type(fields).__name__
        raise ValueError(f"{where}: got {came}; accepted: exactly {', '.join(expected)}")


def integer(where: str, field: str, text: object) -> Any:
    """Return the integer that ``hex`` wrote as ``text``; ValueError for any other text."""
    if isinstance(text, str) and len(text) > MOST_HEX_CHARACTERS:
        raise ValueError(
            f"{where}: got {field} of {len(text):,} characters; accepted: at most {MOST_HEX_CHARACTERS:,}, which every "
            "sum of a meter has"
        )
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
