"""Writes and reads the state of a meter as a dict for JSON; the same for both engines.

A meter with pairs writes format pyml.meter/2. A meter without pairs still writes pyml.meter/1: the two formats would
differ in nothing else, and earlier versions can read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.meter import pair_state
from core.meter.measure import Measure
from core.meter.measure_state import from_fields, to_fields
from core.meter.names import plain_name
from core.meter.pair import Pair

FORMAT = "pyml.meter/1"
FORMAT_WITH_PAIRS = "pyml.meter/2"
POLICIES = ("propagate", "omit", "raise")

Pairs = Mapping[tuple[str, str], Pair]


def to_state(measures: Mapping[str, Measure], pairs: Pairs, nan_policy: str) -> dict[str, Any]:
    """Return the state as a dict for JSON; equal meters give equal dicts."""
    state: dict[str, Any] = {
        "format": FORMAT_WITH_PAIRS if pairs else FORMAT,
        "nan_policy": nan_policy,
        "measures": {name: to_fields(measures[name]) for name in sorted(measures)},
    }
    return {**state, "pairs": pair_state.to_list(pairs)} if pairs else state


def from_state(state: Mapping[str, Any]) -> tuple[dict[str, Measure], dict[tuple[str, str], Pair], str]:
    """Return the measures, the pairs and the nan_policy of a state.

    Raises:
        ValueError: :func:`to_state` does not write such a dict, or no observations can lead to such a state.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"state: got a {type(state).__name__}; accepted: the dict of Meter.state_dict()")
    if state.get("format") not in (FORMAT, FORMAT_WITH_PAIRS):
        raise ValueError(f"state: got format {state.get('format')!r}; accepted: {FORMAT!r} or {FORMAT_WITH_PAIRS!r}")
    policy, measures = state.get("nan_policy"), state.get("measures")
    if policy not in POLICIES:
        raise ValueError(f"state: got nan_policy {policy!r}; accepted: {', '.join(map(repr, POLICIES))}")
    if not isinstance(measures, Mapping):
        raise ValueError(f"state: got measures of type {type(measures).__name__}; accepted: a dict by name")
    read = {_checked(name): from_fields(f"state of {name!r}", fields, policy) for name, fields in measures.items()}
    with_pairs = state["format"] == FORMAT_WITH_PAIRS
    return read, pair_state.from_list(state.get("pairs"), read, policy) if with_pairs else {}, policy


def _checked(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f"state: got the name {name!r}; accepted: a string")
    return plain_name(name)
