"""JSON that every reader accepts: NaN is null, infinities are the strings "Infinity" and "-Infinity"."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from core.runs.limits import MOST_DEPTH, MOST_DIGITS

INFINITY = "Infinity"


def encode_float(value: float) -> float | str | None:
    """Return what stands for a float in strict JSON. Finite values keep every bit."""
    if math.isfinite(value):
        return float(value)
    return None if math.isnan(value) else INFINITY if value > 0 else f"-{INFINITY}"


def decode_float(value: object) -> float:
    """Return the float that ``encode_float`` wrote; ValueError for anything else."""
    if value is None:
        return math.nan
    if value in (INFINITY, f"-{INFINITY}"):
        return float(str(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"got {value!r}; accepted: a number, null for NaN, {INFINITY!r} or '-{INFINITY}'")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"got a number beyond the range of a float64; accepted: {INFINITY!r} or '-{INFINITY}'")
    return number


def _bounded_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits):,} characters; accepted: at most {MOST_DIGITS}")
    return int(digits)


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:MOST_DIGITS]} is beyond the range of a float64")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON; NaN is null, infinities are {INFINITY!r} and '-{INFINITY}'")


_decoder = json.JSONDecoder(parse_int=_bounded_int, parse_float=_finite_float, parse_constant=_no_constant)


def loads(text: str) -> Any:
    """Read strict JSON within the bounds of :mod:`core.runs.limits`.

    Raises:
        ValueError: It is not JSON, is nested too deeply, or holds a number with too many digits or beyond float64.
    """
    text = text.strip(" \t\r\n")
    if text.count("[") + text.count("{") > MOST_DEPTH:  # most texts have fewer brackets than that, whatever their depth
        _check_depth(text)
    try:
        value, end = _decoder.raw_decode(text)
    except RecursionError:
        raise ValueError(f"nested more than {MOST_DEPTH} deep") from None
    if end != len(text):
        raise ValueError(f"more follows the value at character {end + 1}")
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|([\[{]|[\]}])', text):
        depth += (bracket in "[{") - (bracket in "]}") if bracket else 0
        if depth > MOST_DEPTH:
            raise ValueError(f"nested more than {MOST_DEPTH} deep")


#: DEL, C1 controls, soft hyphens, bidirectional controls, zero-width characters, line and paragraph separators.
_INVISIBLE = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


_line_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False)  # to make one takes as long as a line


def _encode(value: Any) -> Any:
    if isinstance(value, float):
        return encode_float(value)
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Return strict JSON of a tree of dicts, lists, strings, numbers, bools and None.

    Control and invisible characters, such as those that change the direction of text, are escaped.

    Args:
        value: The tree. NaN becomes null, infinities become strings.
        indent: Spaces per level; None writes one line.
    """
    encoder = _line_encoder if indent is None else json.JSONEncoder(allow_nan=False, ensure_ascii=False, indent=indent)
    try:
        text = encoder.encode(value)
    except ValueError:  # a float is not finite; most trees have none, and need no copy
        text = encoder.encode(_encode(value))
    return (
        text if text.isascii() and "\x7f" not in text else _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    )
