"""The Python engine: holds a meter's measures in Python integers, and gives the same bits as the C++ engine.

Plain floats, the common case, cost one ``list.extend`` per call. The list is summed with NumPy when it is full or when
something is read. Extending a list by a list or tuple is atomic, so a lock is needed only where sums are written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import isnan
from typing import Any, NamedTuple

import numpy as np

from core.meter.blocks import Blocks
from core.meter.exact import measure_array
from core.meter.intake import Intake, PairUpdate, Plain, check_capacity, nan_refused, unknown_measure
from core.meter.locks import new_lock
from core.meter.measure import Measure, of_float
from core.meter.pair import Pair, of_numbers
from core.meter.products import pair_arrays

MOST_PENDING = 2048  #: The most plain floats that wait to be summed.

_EMPTY = Measure()
_STATE = "state"  #: Stands before the state in the list of floats that wait.


class _State(NamedTuple):
    """All measures and pairs. ``changed`` holds the new states of measures that are not in ``measures`` yet."""

    measures: dict[str, Measure]
    pairs: list[Pair]
    changed: dict[str, Measure]


class PythonEngine:
    """Exact sums of named measures; see :class:`core.meter.engines.Engine`."""

    __slots__ = ("_intake", "_known", "_lock", "_pending")

    name = "python"

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._lock = new_lock()
        # _STATE, a _State, name, value, name, value, ...: the state and the floats that wait are one list. One
        # assignment adds floats to the state and removes them, so that an interruption cannot come between.
        self._pending: list[Any] = [_STATE, _State({}, [], {})]
        self._known = set(intake.declared)  # names of all measures
        self.clear()

    def update(self, measures: Mapping[str, object] | None = None, /, *, n: object = 1, **values: object) -> None:
        """Add an update of any kind to all of its measures, or to none."""
        taken = self._intake.take(measures, n, values, self.update)
        if taken is None:
            return
        plain, n_samples, pairs, _pins = taken  # the pins last as long as this call
        added = {name: _measure(value, n_samples) for name, value in plain.items()}
        if self._intake.refuses_nan:
            for name, measure in added.items():
                if measure.nan:
                    raise nan_refused(name, measure.nan)
        self._add(added, {pair.position: _pair(pair, plain, n_samples) for pair in pairs})

    def float_update(self) -> Callable[..., None]:
        """Return :meth:`update` with a short path for floats of known measures.

        It is a closure because looking up a closure's variable is faster than looking up an attribute.
        """
        if self._intake.pairs:
            return self.update  # the values of a pair must be checked together
        pending, known, general, settle = self._pending, self._known, self.update, self._settle
        extend, flatten, one, takes_nan = pending.extend, chain.from_iterable, 1, not self._intake.refuses_nan

        def update(measures: Mapping[str, object] | None = None, /, *, n: object = 1, **values: object) -> None:
            if n is one and measures is None:
                if len(values) == 1:
                    name, value = item = values.popitem()
                    if value.__class__ is float and name in known and (takes_nan or not isnan(value)):
                        extend(item)
                        if len(pending) > 2 * MOST_PENDING:
                            settle()
                        return
                    values[name] = value
                else:
                    for name, value in values.items():
                        if value.__class__ is not float or name not in known or not (takes_nan or not isnan(value)):
                            break
                    else:
                        extend([*flatten(values.items())])
                        if len(pending) > 2 * MOST_PENDING:
                            settle()
                        return
            general(measures, n=n, **values)

        update.__qualname__ = "update"  # Python names it in its messages about wrong arguments
        return update

    @property
    def _state(self) -> _State:
        state: _State = self._pending[1]
        return state

    def names(self) -> list[str]:
        """Return the names: declared measures first, then the others in the order of their first update."""
        self._settle()
        return list(self._state.measures)

    def measure(self, name: str) -> Measure:
        """Return the state of one measure; KeyError if there is no measure of that name."""
        self._settle()
        measures = self._state.measures
        try:
            return measures[name]
        except KeyError:
            raise unknown_measure(name, measures) from None

    def measures(self) -> dict[str, Measure]:
        """Return the state of every measure by name; no update falls between two of them."""
        with self._lock:
            self._settle()
            return self._state.measures.copy()

    def pair(self, position: int) -> Pair:
        """Return the state of one pair."""
        # No floats wait here: float_update gives a meter with pairs no short path.
        return self._state.pairs[position]

    def state(self) -> tuple[dict[str, Measure], list[Pair]]:
        """Return the state of every measure by name, and of every pair; no update falls between two of them."""
        with self._lock:
            self._settle()
            return self._state.measures.copy(), self._state.pairs

    def add(self, measures: Mapping[str, Measure], pairs: Sequence[Pair] = ()) -> None:
        """Add observations given as states, to all measures and pairs or to none."""
        for name in measures:
            self._intake.check_name(name)
        self._add(measures, dict(enumerate(pairs)))

    def merge(self, other: PythonEngine) -> None:
        """Add the observations of another engine of this class, to all measures and pairs or to none."""
        self.add(*other.state())

    def clear(self) -> None:
        """Remove all observations. Declared measures stay, with no observations."""
        with self._lock:
            # Both are changed in place, because the closure of float_update holds them.
            self._known.intersection_update(self._intake.declared)
            measures = dict.fromkeys(sorted(self._intake.declared), _EMPTY)
            self._pending[:] = [_STATE, _State(measures, [Pair()] * len(self._intake.pairs), {})]

    def _add(self, added: Mapping[str, Measure], pairs: Mapping[int, Pair] | None = None, n_settled: int = 0) -> None:
        """Add to the state, and remove the first ``n_settled`` items that wait, which are in ``added``."""
        with self._lock:
            self._apply_changes()
            measures, before, _ = self._state
            merged = {name: measures.get(name, _EMPTY).merge(measure) for name, measure in added.items()}
            for name, measure in merged.items():
                check_capacity(name, measure.n, measure.nan)
            merged_pairs = [each.merge(pairs[i]) if pairs and i in pairs else each for i, each in enumerate(before)]
            self._known.update(merged)
            # Not a new dict of all measures, which would take the longer the more there are.
            self._pending[: 2 + n_settled] = [_STATE, _State(measures, merged_pairs, merged)]
            self._apply_changes()

    def _apply_changes(self) -> None:
        """Write the changed measures to ``measures``. After an interruption, this may be done again."""
        state = self._state
        if state.changed:
            state.measures.update(state.changed)
            self._pending[1] = state._replace(changed={})

    def _settle(self) -> None:
        """Add the waiting floats to the measures."""
        if len(self._pending) == 2 and not self._state.changed:
            return
        with self._lock:
            self._apply_changes()
            pending = self._pending[2:]
            if not pending:  # another thread has just summed them
                return
            columns: defaultdict[str, list[float]] = defaultdict(list)
            names, values = pending[::2], pending[1::2]
            if names.count(names[0]) == len(names):  # the common case, without a look-up per value
                columns[names[0]] = values
            else:
                for name, value in zip(names, values, strict=True):
                    columns[name].append(value)
            summed = {name: _measure_floats(column) for name, column in columns.items()}
            self._add(summed, n_settled=len(pending))  # another thread may have extended the list meanwhile


_FEW = 12  #: Up to this many values, a loop is faster than NumPy.


def _measure_floats(values: list[float]) -> Measure:
    if len(values) > _FEW:
        return measure_array(np.array(values))
    total = _EMPTY
    for value in values:
        total = total.merge(of_float(value))
    return total


def _measure(value: Plain, w: int) -> Measure:
    """Return the state after one observation that is the mean of ``w`` samples, or after an array."""
    if isinstance(value, float):
        return of_float(value, w)
    if isinstance(value, Blocks):
        total = _EMPTY
        for block in value:
            total = total.merge(measure_array(block))
        return total
    return value if isinstance(value, Measure) else measure_array(value)


def _pair(pair: PairUpdate, values: Mapping[str, Plain], w: int) -> Pair:
    """Return the state of a pair after one update."""
    a, b = values[pair.a], values[pair.b]
    if pair.state is not None:
        return pair.state
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return pair_arrays(a, b)
    if isinstance(a, Blocks) and isinstance(b, Blocks):
        total = Pair()
        for first, second in zip(a, b, strict=True):
            total = total.merge(pair_arrays(first, second))
        return total
    assert isinstance(a, float)
    assert isinstance(b, float)
    return of_numbers([a], [b], w)
