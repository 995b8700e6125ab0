"""Intake: checks and converts the updates that are not plain floats or arrays; both engines share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.config.errors import nearest
from core.meter.blocks import Blocks
from core.meter.inputs import OnDevice, Standard, standard, weight
from core.meter.locks import new_lock
from core.meter.measure import COUNT_BITS, Measure, of_float, of_integer
from core.meter.names import plain_name
from core.meter.pair import Pair, of_numbers
from core.meter.pins import FEW, Pins, pinned
from core.meter.products import numbers
from core.meter.transfers import NO_TRANSFERS, NoTransfers, Transfers

#: What an engine can add: a float, an array (see ``core.meter.exact.measure_array``), blocks of such arrays, or a state
#: to merge.
Plain: TypeAlias = float | NDArray[Any] | Blocks | Measure


_lock = new_lock()  # shared by all meters, so that a meter without CUDA tensors holds no lock


class PairUpdate(NamedTuple):
    """What one update adds to a pair."""

    position: int  #: in ``Intake.pairs``
    a: str
    b: str
    state: Pair | None  #: the state to merge, or None: the engine can compute it from the plain values


#: An update in plain form: the values by name, ``n``, what to add to the pairs, and what keeps the arrays from being
#: resized until the update has been added. A plain tuple, because it is fast.
Update: TypeAlias = tuple[dict[str, Plain], int, list[PairUpdate], Pins]


class Intake:
    """Checks an update's names, values and ``n`` before any measure changes; starts the copies of CUDA tensors.

    Attributes:
        declared: The only names that the meter accepts, or empty if it accepts any name.
        pairs: The names of each pair, sorted; so are the pairs.
        refuses_nan: Whether a NaN is an error.
        transfers: Updates whose values are being copied from a CUDA device.
    """

    __slots__ = ("_in_pairs", "declared", "pairs", "refuses_nan", "transfers")

    def __init__(
        self, declared: Iterable[str] = (), *, pairs: Iterable[tuple[str, str]] = (), refuses_nan: bool = False
    ) -> None:
        self.declared = frozenset(declared)
        self.pairs = tuple(sorted(pairs)) if pairs else ()
        self._in_pairs = frozenset(chain.from_iterable(self.pairs))
        self.refuses_nan = refuses_nan
        self.transfers: Transfers | NoTransfers = NO_TRANSFERS

    def take(
        self, measures: Mapping[str, object] | None, n: object, values: dict[str, object], fold: Callable[..., None]
    ) -> Update | None:
        """Return an update in plain form, ready to be added.

        Args:
            measures: The mapping that was passed to ``update``, or None.
            n: The samples that each value is the mean of, as the caller passed it.
            values: The values that were passed by keyword.
            fold: The engine's ``update``. It is called with the values of CUDA tensors when they have been copied.

        Returns:
            The update; None if it holds CUDA tensors and will go through ``fold``.

        Raises:
            TypeError, ValueError, KeyError: The meter does not accept a value, ``n`` or a name, or a name comes twice.
        """
        named = _named(measures, values)
        for name in named:
            self.check_name(name)
        w = weight(n, named)
        least = 0 if self.pairs else FEW  # pairs of any size are summed without the GIL
        pins = pinned(named.values(), least)
        if self.pairs:
            # C order, because the memory orders of two arrays may differ, and their elements must match.
            taken = {name: standard(name, value, keeps_order=name in self._in_pairs) for name, value in named.items()}
        else:
            taken = {name: standard(name, value) for name, value in named.items()}
        if w != 1:
            for name, value in taken.items():
                _check_is_scalar(name, value, w)
        if "weights" in values:
            _check_weights(taken)
        pairs = self._pairs(named, taken, w) if self.pairs else []
        if any(isinstance(value, OnDevice) for value in taken.values()):
            # When the values have arrived, fold calls take() again. Wrong names, types and shapes are refused before.
            self._start_transfers().start(taken, w, fold)
            return None
        plain = {name: _plain(value, w) for name, value in taken.items()}
        return plain, w, pairs, [*pins, *pinned(plain.values(), least)]

    def _start_transfers(self) -> Transfers:
        with _lock:  # two threads must not make one each
            if isinstance(self.transfers, NoTransfers):
                self.transfers = Transfers()
            return self.transfers

    def _pairs(self, named: dict[str, object], taken: dict[str, Standard], w: int) -> list[PairUpdate]:
        """Return what an update adds to the pairs.

        Raises:
            ValueError: One measure of a pair is missing, or the two have different shapes.
        """
        updates = []
        for position, (a, b) in enumerate(self.pairs):
            if a not in named and b not in named:
                continue
            if a not in named or b not in named:
                here, missing = (a, b) if a in named else (b, a)
                raise ValueError(f"{here}: got no {missing!r}, its pair; accepted: both in one call; nothing was added")
            shapes = [_shape(named[name], taken[name]) for name in (a, b)]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"{a} and {b} are a pair: got shapes {shapes[0]} and {shapes[1]}; accepted: equal shapes; "
                    "nothing was added"
                )
            # Blocks of two arrays match only if both are read in blocks.
            if isinstance(taken[a], Blocks) or isinstance(taken[b], Blocks):
                taken[a], taken[b] = _in_blocks(taken[a]), _in_blocks(taken[b])
            updates.append(PairUpdate(position, a, b, _pair_state(taken[a], taken[b], w)))
        return updates

    def check_name(self, name: str) -> None:
        """Raise KeyError for a name that was not declared."""
        if self.declared and name not in self.declared:
            raise unknown_measure(name, self.declared)


def _plain(value: Standard, w: int) -> Plain:
    if isinstance(value, float | np.ndarray | Blocks):
        return value
    if isinstance(value, int):
        return of_integer(value, w)
    assert isinstance(value, list)  # take() has dealt with OnDevice
    # A list that reaches this line holds an integer that no double equals, so no array can hold it exactly.
    total = Measure()
    for item in value:
        total = total.merge(of_float(item) if isinstance(item, float) else of_integer(item))
    return total


def _shape(came: Any, value: Standard) -> tuple[int, ...]:
    """Return the shape of a value as the caller passed it."""
    if isinstance(value, list):
        return (len(value),)
    if isinstance(value, float | int):
        return ()
    if shape := getattr(came, "shape", None):
        return tuple(shape)
    return tuple(value.tensor.shape) if isinstance(value, OnDevice) else value.shape


def _pair_state(a: Standard, b: Standard, w: int) -> Pair | None:
    """Return the state after two values of a pair if they are no floats and arrays that an engine adds by itself."""
    values = (a, b)
    if any(isinstance(value, OnDevice) for value in values):
        return None  # the update comes back when the values have arrived
    if all(isinstance(value, float) for value in values):
        return None
    if all(isinstance(value, np.ndarray | Blocks) for value in values):
        return None
    first, second = ([value] if isinstance(value, float | int) else _numbers(value) for value in values)
    return of_numbers(first, second, w)


def _in_blocks(value: Standard) -> Standard:
    """Return an array in blocks, so that both arrays of a pair come in blocks of equal sizes."""
    return Blocks(value, keeps_order=True) if isinstance(value, np.ndarray) else value


def _numbers(value: Standard) -> list[float | int]:
    if isinstance(value, np.ndarray):
        return numbers(value)
    if isinstance(value, Blocks):
        return [number for block in value for number in numbers(block)]
    assert isinstance(value, list)
    return value


def unknown_measure(name: str, known: Iterable[str]) -> KeyError:
    """Return the error for a measure that a meter does not have."""
    names = sorted(known)
    listed = ", ".join(names) or "none yet"
    return KeyError(f"unknown measure {name!r}.{nearest(name, names)} Known measures: {listed}.")


def nan_refused(name: str, count: int) -> ValueError:
    """Return the error for NaN under ``nan_policy="raise"``."""
    return ValueError(f"{name}: got {count:,} NaN under nan_policy='raise'; nothing was added")


def check_capacity(name: str, *counts: int) -> None:
    """Raise OverflowError if a count is larger than both engines can hold. Only repeated merging gets there."""
    if max(counts) >> COUNT_BITS:
        raise OverflowError(f"{name}: more than 2**{COUNT_BITS} samples; nothing was added")


def _named(measures: Mapping[str, object] | None, values: dict[str, object]) -> dict[str, object]:
    if measures is None:
        return _with_plain_names(values)
    if not isinstance(measures, Mapping):
        raise TypeError(
            f"update: got a {type(measures).__name__} without a name; "
            "accepted: name=value, or a mapping of names to values"
        )
    in_mapping, by_keyword = _with_plain_names(measures), _with_plain_names(values)
    if twice := sorted(in_mapping.keys() & by_keyword.keys()):
        raise TypeError(f"{', '.join(twice)}: got a value in the mapping and another by keyword; pass one of them")
    return {**in_mapping, **by_keyword}


def _with_plain_names(values: Mapping[str, object]) -> dict[str, object]:
    named: dict[str, object] = {}
    for name, value in values.items():
        plain = plain_name(name)
        if plain in named:
            raise TypeError(f"{plain}: got a value for this name twice; pass one of them")
        named[plain] = value
    return named


def _check_weights(taken: dict[str, Standard]) -> None:
    """Raise ValueError if the keyword ``weights`` comes beside an array: it looks like an argument, and is not one."""
    arrays = [name for name, value in taken.items() if not isinstance(value, float | int) and name != "weights"]
    if arrays:
        raise ValueError(
            f"weights: got it beside the array {arrays[0]}; an update has no weights per element. For a weighted mean, "
            "declare pairs=[('weighted', 'weight')], update weighted=x * w, weight=w, and read ratio('weighted', "
            "'weight'). For a measure of that name, pass {'weights': ...}; nothing was added"
        )


def _check_is_scalar(name: str, value: Standard, w: int) -> None:
    shape: tuple[int, ...] | None = None
    if isinstance(value, np.ndarray | Blocks):
        shape = value.shape
    elif isinstance(value, list):
        shape = (len(value),)
    elif isinstance(value, OnDevice) and value.tensor.ndim:
        shape = tuple(value.tensor.shape)
    if shape is not None:
        raise ValueError(
            f"{name}: got n={w} with an array ({np.prod(shape, dtype=int):,} values); each element of an array is an "
            "observation of its own: drop n, or pass the mean as a scalar"
        )
