"""JSON that every reader accepts: NaN is null, infinities are the strings "Infinity" and "-Infinity"."""

from __future__ import annotations

import json
import math
from typing import Any

INFINITY = "Infinity"


def encode_float(value: float) -> float | str | None:
    """Return what stands for a float in strict JSON; finite values survive bit for bit."""
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
    return float(value)


def _encode(value: Any) -> Any:
    if isinstance(value, float):
        return encode_float(value)
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Write a tree of dicts, lists, strings, numbers, bools and None; on one line unless ``indent`` is given."""
    return json.dumps(_encode(value), allow_nan=False, ensure_ascii=False, indent=indent)
