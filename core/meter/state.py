"""Writes and reads the state of a meter as a dict for JSON; the same for both engines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.meter.float_bits import from_hex, order, to_hex
from core.meter.measure import COUNT_BITS, S1_BITS, S2_BITS, Measure

FORMAT = "pyml.meter/1"
POLICIES = ("propagate", "omit", "raise")

_INTEGER = re.compile(r"0x0|-?0x[1-9a-f][0-9a-f]*")
_FLOATS = ("min", "max")
_DOUBLE_BITS = 1024  # finite values are below 2**1024


def to_state(measures: Mapping[str, Measure], nan_policy: str) -> dict[str, Any]:
    """Return the state as a dict for JSON; equal meters give equal dicts."""
    return {
        "format": FORMAT,
        "nan_policy": nan_policy,
        "measures": {name: _fields(measures[name]) for name in sorted(measures)},
    }


def from_state(state: Mapping[str, Any]) -> tuple[dict[str, Measure], str]:
    """Return the measures and the nan_policy of a state.

    Raises:
        ValueError: :func:`to_state` does not write such a dict, or no observations can lead to such a state.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"state: got a {type(state).__name__}; accepted: the dict of Meter.state_dict()")
    if state.get("format") != FORMAT:
        raise ValueError(f"state: got format {state.get('format')!r}; accepted: {FORMAT!r}")
    policy, measures = state.get("nan_policy"), state.get("measures")
    if policy not in POLICIES:
        raise ValueError(f"state: got nan_policy {policy!r}; accepted: {', '.join(map(repr, POLICIES))}")
    if not isinstance(measures, Mapping):
        raise ValueError(f"state: got measures of type {type(measures).__name__}; accepted: a dict by name")
    read = {name: _measure(name, fields) for name, fields in measures.items()}
    for name, measure in read.items():
        if reason := _contradiction(measure, policy):
            raise ValueError(f"state of {name!r}: {reason}")
    return read, policy


def _fields(measure: Measure) -> dict[str, str | None]:
    return {
        field: (None if value is None else to_hex(value)) if field in _FLOATS else hex(value)
        for field, value in measure._asdict().items()
    }


def _measure(name: object, fields: object) -> Measure:
    if not isinstance(name, str):
        raise ValueError(f"state: got the name {name!r}; accepted: a string")
    if not isinstance(fields, Mapping) or set(fields) != set(Measure._fields):
        came = sorted(map(str, fields)) if isinstance(fields, Mapping) else type(fields).__name__
        raise ValueError(f"state of {name!r}: got {came}; accepted: exactly {', '.join(Measure._fields)}")
    return Measure(**{field: _number(name, field, fields[field]) for field in Measure._fields})


def _number(name: str, field: str, text: object) -> Any:
    if field in _FLOATS and text is None:
        return None
    if isinstance(text, str):
        try:
            if field in _FLOATS:
                return from_hex(text)
            if _INTEGER.fullmatch(text):
                return int(text, 16)
        except ValueError:
            pass
    form = "a float.hex string or None" if field in _FLOATS else "a lowercase hex string such as '0x1f'"
    raise ValueError(f"state of {name!r}: got {field} {_short(text)}; accepted: {form}")


def _short(text: object) -> str:
    shown = repr(text)
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
        "s2 is smaller than s1 allows": m.s2 * most_finite_samples < m.s1 * m.s1,
    }
    return next((reason for reason, broken in rules.items() if broken), "")
