"""The pairs of a meter as a list for JSON, in the order of their names, and checks when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.meter.float_bits import order
from core.meter.measure import S2_BITS, Measure
from core.meter.measure_state import check_keys, from_fields, integer, to_fields
from core.meter.pair import Pair, canonical

Pairs = dict[tuple[str, str], Pair]

_KEYS = ("names", *Pair._fields)
_DOUBLE_BITS = 1024  # finite values are below 2**1024


def to_list(pairs: Mapping[tuple[str, str], Pair]) -> list[dict[str, Any]]:
    """Return one dict per pair: its names, the two measures over complete observations, and the other sums."""
    return [
        {
            "names": list(names),
            "a": to_fields(pair.a),
            "b": to_fields(pair.b),
            "ab": hex(pair.ab),
            "nan": hex(pair.nan),
            "inf": hex(pair.inf),
        }
        for names, pair in sorted(pairs.items())
    ]


def from_list(listed: object, measures: Mapping[str, Measure], policy: str) -> Pairs:
    """Return the pairs that :func:`to_list` wrote.

    Raises:
        ValueError: :func:`to_list` does not write such a list, or no observations can lead to these pairs and measures.
    """
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"state: got pairs of type {type(listed).__name__}; accepted: a list of at least one dict")
    pairs: Pairs = {}
    for fields in listed:
        check_keys("state of a pair", fields, _KEYS)
        names = fields["names"]
        if not (isinstance(names, list) and len(names) == 2 and all(isinstance(name, str) for name in names)):
            raise ValueError(f"state of a pair: got names {names!r}; accepted: a list of two strings")
        first, second = canonical(names)
        # Only the canonical order: otherwise one pair could be listed twice, as (a, b) and as (b, a).
        if names != [first, second] or first == second or (first, second) in pairs:
            raise ValueError(f"state of a pair: got names {names!r}; accepted: two names, sorted, each pair once")
        where = f"state of the pair {first!r}, {second!r}"
        a, b = (from_fields(f"{where}: {side}", fields[side], policy) for side in ("a", "b"))
        pair = Pair(a, b, *(integer(where, field, fields[field]) for field in ("ab", "nan", "inf")))
        empty = Measure()
        if reason := _contradiction(pair, [measures.get(name, empty) for name in (first, second)]):
            raise ValueError(f"{where}: {reason}")
        pairs[first, second] = pair
    return pairs


def _contradiction(pair: Pair, whole: list[Measure]) -> str:
    """Return the reason why no observations can lead to this pair and its whole measures, or "" if some can."""
    a, b = pair.a, pair.b
    infinities = [measure.posinf + measure.neginf for measure in (a, b)]
    # A product of two finite values is below 2**(2 * _DOUBLE_BITS). ab counts in units of 2**-S2_BITS.
    largest = (a.n - pair.inf) << (S2_BITS + 2 * _DOUBLE_BITS)
    rules = {
        "a count is negative": min(pair.nan, pair.inf) < 0,
        "a complete observation has a NaN": bool(a.nan or b.nan),
        "the two measures differ in their counts": (a.k, a.n) != (b.k, b.n),
        "the pair and its measures differ in their observations": any(
            measure.k + measure.nan != a.k + pair.nan for measure in whole
        ),
        "no observation is incomplete, yet the pair and its measures differ": not pair.nan and whole != [a, b],
        "a value of the pair lies outside its measure": any(map(_sticks_out, (a, b), whole)),
        # pair.inf counts observations. Each has an infinity on one side or on both.
        "the number of infinities does not fit": not max(infinities) <= pair.inf <= min(sum(infinities), a.k),
        "ab is larger than its observations can be": abs(pair.ab) > largest,
        # Cauchy and Schwarz: (Σab)² ≤ Σa² · Σb².
        "ab is larger than the sums of squares allow": not pair.inf and pair.ab**2 > a.s2 * b.s2,
    }
    return next((reason for reason, broken in rules.items() if broken), "")


def _sticks_out(part: Measure, whole: Measure) -> bool:
    """Return whether the extremes of some of the observations lie outside those of all."""
    if part.min is None or part.max is None or whole.min is None or whole.max is None:
        return part.min is not None
    return order(part.min) < order(whole.min) or order(part.max) > order(whole.max)
