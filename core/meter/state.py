"""Writes and reads the state of a meter as a dict for JSON; the same for both engines.

A meter with pairs writes format pyml.meter/2. A meter without pairs still writes pyml.meter/1: the two formats would
differ in nothing else, and earlier versions can read it. They ignore the field "declared", which is there only if it is
true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from core.meter import pair_state
from core.meter.measure import Measure
from core.meter.measure_state import from_fields, to_fields
from core.meter.names import plain_name
from core.meter.pair import Pair

Pairs = Mapping[tuple[str, str], Pair]

FORMAT = "pyml.meter/1"
FORMAT_WITH_PAIRS = "pyml.meter/2"
POLICIES = ("propagate", "omit", "raise")


class State(NamedTuple):
    """What the dict holds."""

    measures: Mapping[str, Measure]
    pairs: Mapping[tuple[str, str], Pair]
    nan_policy: str
    declared: bool  #: whether the measures were declared; they are then the only ones that the meter accepts


def to_state(state: State) -> dict[str, Any]:
    """Return the state as a dict for JSON; equal meters give equal dicts."""
    written: dict[str, Any] = {
        "format": FORMAT_WITH_PAIRS if state.pairs else FORMAT,
        "nan_policy": state.nan_policy,
        # Sorted, because the order of the first updates is no part of what was observed.
        "measures": {name: to_fields(state.measures[name]) for name in sorted(state.measures)},
    }
    if state.pairs:
        written["pairs"] = pair_state.to_list(state.pairs)
    return {**written, "declared": True} if state.declared else written


def from_state(state: Mapping[str, Any]) -> State:
    """Return the content of a state.

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
    # "pairs" is not a field of pyml.meter/1. It is ignored there, as every unknown field is.
    with_pairs = state["format"] == FORMAT_WITH_PAIRS
    pairs = pair_state.from_list(state.get("pairs"), read, policy) if with_pairs else {}
    return State(read, pairs, policy, _declared(state, read, pairs))


def _declared(state: Mapping[str, Any], measures: Mapping[str, Measure], pairs: Pairs) -> bool:
    if "declared" not in state:
        return False
    if state["declared"] is not True:
        raise ValueError(f"state: got declared {state['declared']!r}; accepted: true, or no such field")
    # The state of a meter holds every declared measure, also one without observations. Its pairs are of such measures.
    if not measures or not {name for pair in pairs for name in pair} <= set(measures):
        raise ValueError("state: got declared true, but not every declared measure is in the state")
    return True


def _checked(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f"state: got the name {name!r}; accepted: a string")
    return plain_name(name)
