"""Meter: exact statistics, with the same bits for any order, batch size and split over processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self, TypeVar

from core.meter import engines
from core.meter.attributes import added_attributes, set_attributes
from core.meter.intake import Intake
from core.meter.measure import Measure
from core.meter.names import plain_name
from core.meter.pair import Pair, canonical, checked_pairs
from core.meter.reduce import Settings, all_reduce
from core.meter.state import POLICIES, State, from_state, to_state
from core.meter.transfers import NO_TRANSFERS
from core.utils.cluster_means import ClusteredMean
from core.utils.meter_readings import Readings

__all__ = ["ClusteredMean", "Meter"]

_M = TypeVar("_M", bound="Meter")


class Update(Protocol):
    """The type of :attr:`Meter.update`."""

    def __call__(self, measures: Mapping[str, Any] | None = None, /, *, n: int = 1, **values: Any) -> None:
        """Add observations."""


_UPDATE_DOC = """update(measures=None, /, *, n=1, **values): add observations. If it raises, nothing was added.

Args:
    measures: A mapping of names to values, for names that are not identifiers, or are "n".
    n: The number of samples that each value is the mean of, as in ``update(loss=batch_loss, n=len(batch))``. Scalars
        only.
    **values: For each measure one observation (a real number), or one per element (an array, tensor or list of real
        numbers). Values are not rounded. Those of a CUDA tensor are copied in the background and added later.

Raises:
    TypeError: A value is not a real number, a name is not a string, or ``n`` is not an integer.
    ValueError: ``n`` is below 1, or is not 1 while a value is an array; an integer is 2**1024 or more; or a value is
        NaN under ``nan_policy="raise"``.
    KeyError: Measures were declared, and a name is not among them.

The two measures of a pair must come in one call with values of equal shape, or ValueError is raised.
"""


class Meter(Readings):
    """Computes the mean, standard error, extremes and counts of several measures, each correctly rounded.

    A meter keeps the exact sums of w·x and w·x² of each measure, where an observation x is the mean of w samples.
    Every result is the exact value rounded once to float64. Memory per measure is constant. Threads may share a meter.

    Args:
        *names: Declares the measures: they exist from the start, and any other name is an error. Without names, a
            measure is created by its first update.
        pairs: Pairs of measures whose observations belong together, as ``[("nats", "bytes")]``. A pair adds the results
            :meth:`ratio`, :meth:`difference`, :meth:`covariance` and :meth:`correlation`.
        nan_policy: "propagate": results are NaN after the first NaN. "omit": NaNs are counted and left out of results.
            "raise": an update with a NaN raises ValueError.
        engine: "c++" or "python"; both give the same bits. None: ``PYML_ENGINE``, else the fastest engine available.

    Raises:
        TypeError: A name is not a string.
        ValueError: A name or pair comes twice, a pair is not two of the declared names, or nan_policy or engine is
            unknown.
        RuntimeError: The C++ engine is asked for, but it is not built.

    Example:
        >>> meter = Meter()
        >>> meter.update(loss=[0.5, 0.25, 0.75])
        >>> meter.mean("loss"), meter.count("loss")
        (0.5, 3)
    """

    __slots__ = {  # noqa: RUF023 - a mapping gives a slot its docstring
        "update": _UPDATE_DOC,
        "_engine": "holds the measures",
        "_intake": "checks the updates",
        "_nan_policy": "one of POLICIES",
        "__weakref__": "",
    }

    update: Update  # the engine's own callable, so that a call needs no Python frame

    def __init__(
        self,
        *names: str,
        pairs: Iterable[tuple[str, str]] = (),
        nan_policy: str = "propagate",
        engine: str | None = None,
    ) -> None:
        if nan_policy not in POLICIES:
            raise ValueError(f"nan_policy: got {nan_policy!r}; accepted: {', '.join(map(repr, POLICIES))}")
        names = _checked_names(names) if names else ()
        self._nan_policy = nan_policy
        checked = checked_pairs(pairs, names) if pairs else ()
        self._intake = Intake(names, pairs=checked, refuses_nan=nan_policy == "raise")
        self._engine, update = engines.create(engines.choose(engine), self._intake)
        _set_update(self, update)  # the slot, also where a subclass has its own update

    @property
    def engine(self) -> str:
        """The engine in use: "c++" or "python"."""
        return self._engine.name

    @property
    def nan_policy(self) -> str:
        """What happens at a NaN: "propagate", "omit" or "raise"."""
        return self._nan_policy

    def merge(self, other: Meter) -> None:
        """Add all observations of ``other``, exactly; ``other`` does not change.

        Raises:
            TypeError: ``other`` is not a Meter.
            ValueError: The two meters have different pairs or different nan_policy.
            KeyError: ``other`` has a measure that was not declared here.
        """
        if not isinstance(other, Meter):
            raise TypeError(f"merge: got a {type(other).__name__}; accepted: a Meter")
        if other._nan_policy != self._nan_policy:
            raise ValueError(
                f"merge: got a meter with nan_policy={other._nan_policy!r}; accepted: {self._nan_policy!r}, as here"
            )
        if other._intake.pairs != self._intake.pairs:
            came, here = list(other._intake.pairs), list(self._intake.pairs)
            raise ValueError(f"merge: got a meter with pairs {came}; accepted: {here}, as here")
        theirs = other._engine
        if (transfers := other._intake.transfers) is not NO_TRANSFERS:
            transfers.finish(theirs.update)
        if type(self._engine) is type(theirs):
            self._engine.merge(theirs)
        else:
            measures, pairs = other._state()
            self._engine.add(measures, list(pairs.values()))

    def names(self) -> list[str]:
        """Return the names: declared measures first, then the others in the order of their first update."""
        self._intake.transfers.finish(self._engine.update)
        return self._engine.names()

    @staticmethod
    def merge_all(meters: Iterable[Meter]) -> Meter:
        """Return a meter with the observations of all meters; none of them changes.

        It has the class, the engine and the other attributes of the first one. If all of them declared measures, it
        declares all of these.

        Raises:
            TypeError: One of them is not a Meter.
            ValueError: There is no meter, or they have different pairs or different nan_policy.
        """
        listed = list(meters)
        if not listed:
            raise ValueError("merge_all: got no meter; accepted: at least one")
        if wrong := [each for each in listed if not isinstance(each, Meter)]:
            raise TypeError(f"merge_all: got a {type(wrong[0]).__name__}; accepted: Meters")
        declared = [each._intake.declared for each in listed]
        names = frozenset[str]().union(*declared) if all(declared) else frozenset[str]()
        total = listed[0]._empty_copy(names)
        for each in listed:
            total.merge(each)
        return total

    def __add__(self, other: Meter) -> Meter:
        return Meter.merge_all([self, other]) if isinstance(other, Meter) else NotImplemented

    def __radd__(self, other: object) -> Meter:
        """Add to 0, with which ``sum`` of several meters begins."""
        return Meter.merge_all([self]) if isinstance(other, int) and other == 0 else NotImplemented

    def __eq__(self, other: object) -> bool:
        """Return whether the two give the same results. Engines and declarations do not matter."""
        if not isinstance(other, Meter):
            return NotImplemented
        return (self._state(), self._nan_policy) == (other._state(), other._nan_policy)

    __hash__ = None  # type: ignore[assignment]  # a meter changes

    def all_reduce(self, group: Any = None) -> Self:
        """Return a meter with the observations of all processes of torch.distributed; self does not change.

        Every process of ``group`` (None: all processes) must call this. Either all of them declared the same measures,
        or none of them declared any. A process may have no data, or lack some of the measures. Without
        torch.distributed this returns a copy.

        Raises:
            ValueError: nan_policy, the pairs or the declared measures differ between processes; raised on all of them.
        """
        measures: dict[str, Measure] = {}
        states: dict[tuple[str, str], Pair] = {}
        fault = None
        try:
            measures, states = self._state()
        except ValueError as error:  # a NaN from a CUDA device under nan_policy="raise"
            fault = error
        settings = Settings(self._nan_policy, list(self._intake.pairs), sorted(self._intake.declared))
        reduced = all_reduce(measures, states, settings, fault=fault, group=group)
        meter = self._empty_copy(self._intake.declared)
        meter._engine.add(*reduced)
        return meter

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a dict for JSON. Equal meters give equal dicts, with either engine."""
        return to_state(State(*self._state(), self._nan_policy, declared=bool(self._intake.declared)))

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], *, engine: str | None = None) -> Self:
        """Return a meter with the state that :meth:`state_dict` returned; a subclass's ``__init__`` is not called.

        Raises:
            ValueError: The state is corrupt; the message says where and why.
        """
        measures, pairs, nan_policy, declared = from_state(state)
        meter = cls.__new__(cls)
        names = measures if declared else ()
        Meter.__init__(meter, *names, pairs=pairs, nan_policy=nan_policy, engine=engine)
        meter._engine.add(measures, list(pairs.values()))
        return meter

    def reset(self) -> None:
        """Remove all observations. Declared measures stay, with no observations."""
        self._intake.transfers.clear()
        self._engine.clear()

    def __getstate__(self) -> Any:
        """Return the attributes that a subclass or a user has added, in the form of ``object.__getstate__``."""
        return added_attributes(self, Meter.__slots__)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.state_dict(), self.engine), self.__getstate__()

    def _empty_copy(self, declared: Iterable[str]) -> Self:
        """Return a meter without observations, with these declared names and the other attributes of this one."""
        meter = type(self).__new__(type(self))
        names, pairs = sorted(declared), self._intake.pairs
        Meter.__init__(meter, *names, pairs=pairs, nan_policy=self._nan_policy, engine=self.engine)
        if (attributes := self.__getstate__()) is not None:
            set_attributes(meter, attributes)
        return meter

    def __repr__(self) -> str:
        names = "".join(f"{name!r}, " for name in self._engine.names())
        return f"<Meter {names}nan_policy={self._nan_policy!r}, engine={self.engine!r}>"

    def __str__(self) -> str:
        return "\n".join(f"{name}: {result}" for name, result in self.results().items())

    def _read(self, name: str) -> Measure:
        self._intake.transfers.finish(self._engine.update)
        return Measure._make(self._engine.measure(plain_name(name)))

    def _read_pair(self, a: str, b: str) -> Pair:
        """Return the state of a declared pair, with its values in the order of the arguments."""
        pairs = self._intake.pairs
        if not (isinstance(a, str) and isinstance(b, str)) or canonical((a, b)) not in pairs:
            declared = ", ".join(map(str, pairs)) or "none; declare it, as Meter(pairs=[('a', 'b')])"
            raise KeyError(f"unknown pair {a!r}, {b!r}. Declared pairs: {declared}")
        self._intake.transfers.finish(self._engine.update)
        first, second, *sums = self._engine.pair(pairs.index(canonical((a, b))))
        pair = Pair(Measure._make(first), Measure._make(second), *sums)
        return pair if plain_name(a) <= plain_name(b) else pair.swap()

    def _state(self) -> tuple[dict[str, Measure], dict[tuple[str, str], Pair]]:
        self._intake.transfers.finish(self._engine.update)
        measures, pairs = self._engine.state()
        states = [Pair(Measure._make(a), Measure._make(b), *sums) for a, b, *sums in pairs]
        return (
            {name: Measure._make(fields) for name, fields in measures.items()},
            dict(zip(self._intake.pairs, states, strict=True)),
        )

    def _measures(self) -> dict[str, Measure]:
        self._intake.transfers.finish(self._engine.update)
        return {name: Measure._make(fields) for name, fields in self._engine.measures().items()}


_set_update = Meter.__dict__["update"].__set__


def _checked_names(names: tuple[object, ...]) -> tuple[str, ...]:
    """Return declared names as plain strings; TypeError for another type, ValueError for a name that comes twice."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"names: got {name!r} ({type(name).__name__}); accepted: strings, as Meter('a', 'b')")
    plain = tuple(map(plain_name, names))
    if len(set(plain)) < len(plain):
        raise ValueError(f"names: got a name twice in {', '.join(map(repr, plain))}")
    return plain


def _rebuild(cls: type[_M], state: Mapping[str, Any], engine: str) -> _M:
    """Return a copied or unpickled meter; it uses the default engine if its own is not built here."""
    return cls.from_state_dict(state, engine=engine if engine in engines.available() else None)
