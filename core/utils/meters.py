"""Meter: exact statistics of what it saw, the same bits for any order, batching and split over processes."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from core.meter import engines, rounding
from core.meter.intake import Intake
from core.meter.measure import Measure
from core.meter.reduce import all_reduce
from core.meter.state import POLICIES, from_state, to_state

if TYPE_CHECKING:
    from core.utils.results import ScalarResult

__all__ = ["Meter"]

_M = TypeVar("_M", bound="Meter")


class Update(Protocol):
    """The type of :attr:`Meter.update`."""

    def __call__(self, measures: Mapping[str, Any] | None = None, /, *, n: int = 1, **values: Any) -> None:
        """Add observations."""


_UPDATE_DOC = """update(measures=None, /, *, n=1, **values): add observations, of all measures of the call or of none.

Args:
    measures: A mapping of names to values, for names that are no identifiers (or are "n").
    n: The number of samples that each value is the mean of: ``update(loss=batch_loss, n=len(batch))``. Scalars only.
    **values: By measure, one observation (a real number) or one per element (an array, tensor or list of them). Each is
        taken at its exact value. A CUDA tensor's values are folded in later, when they have arrived.

Raises:
    TypeError: A value that is no real number, a name that is no string, an ``n`` that is no integer.
    ValueError: ``n`` below 1, or other than 1 with an array; an integer beyond 2**1024; a NaN under
        ``nan_policy="raise"``.
    KeyError: A measure that was not declared, where some were.
"""


class Meter:
    """The correctly rounded mean, standard error, extremes and counts of measures by name.

    For each measure the exact sums of w·x and w·x² are kept, where an observation x is the mean of w samples; a
    read-out is the exact value rounded once to float64. Memory per measure is constant. Threads may share a meter.

    Args:
        *names: The measures it takes, each then there from the start and any other an error; without names, measures
            appear at their first update.
        nan_policy: "propagate": a read-out after a NaN is NaN; "omit": NaNs are counted and left out; "raise": an
            update with a NaN raises ValueError.
        engine: "c++" or "python", which give the same bits; None takes ``PYML_ENGINE``, else the fastest there is.

    Example:
        >>> meter = Meter()
        >>> meter.update(loss=[0.5, 0.25, 0.75])
        >>> meter.mean("loss"), meter.count("loss")
        (0.5, 3)
    """

    __slots__ = {  # noqa: RUF023 - a mapping gives a slot its docstring
        "update": _UPDATE_DOC,
        "_engine": "what counts",
        "_intake": "what checks the updates",
        "_nan_policy": "one of POLICIES",
        "__weakref__": "",
    }

    update: Update  # the engine's own callable: a call of it passes through no other frame

    def __init__(self, *names: str, nan_policy: str = "propagate", engine: str | None = None) -> None:
        if nan_policy not in POLICIES:
            raise ValueError(f"nan_policy: got {nan_policy!r}; accepted: {', '.join(map(repr, POLICIES))}")
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"names: got {name!r} ({type(name).__name__}); accepted: strings, as Meter('a', 'b')")
        if len(set(names)) < len(names):
            raise ValueError(f"names: got one twice among {', '.join(map(repr, names))}")
        self._nan_policy = nan_policy
        self._intake = Intake(map(str, names), refuses_nan=nan_policy == "raise")
        self._engine, update = engines.create(engines.choose(engine), self._intake)
        Meter.__dict__["update"].__set__(self, update)  # the slot, also where a subclass has its own update

    @property
    def engine(self) -> str:
        """The engine that runs: "c++" or "python"."""
        return self._engine.name

    @property
    def nan_policy(self) -> str:
        """What a NaN does: "propagate", "omit" or "raise"."""
        return self._nan_policy

    def mean(self, name: str) -> float:
        """Return the mean over all samples; NaN without data."""
        return rounding.mean(self._read(name), omit_nan=self._omits_nan)

    def error(self, name: str, ddof: int = 1) -> float:
        """Return the standard error of the mean, sqrt(variance / n_samples); NaN of one observation.

        An interval from it has ``count - 1`` degrees of freedom. ``ddof`` is subtracted from the number of
        observations in the variance's denominator.
        """
        return rounding.error(self._read(name), _as_ddof(ddof), omit_nan=self._omits_nan)

    def std(self, name: str, ddof: int = 1) -> float:
        """Return the standard deviation per sample; NaN of one observation. ``ddof`` as for :meth:`error`."""
        return rounding.std(self._read(name), _as_ddof(ddof), omit_nan=self._omits_nan)

    def min(self, name: str) -> float:
        """Return the smallest observation; NaN without data."""
        measure = self._read(name)
        return rounding.extreme(measure.min, measure, omit_nan=self._omits_nan)

    def max(self, name: str) -> float:
        """Return the largest observation; NaN without data."""
        measure = self._read(name)
        return rounding.extreme(measure.max, measure, omit_nan=self._omits_nan)

    def count(self, name: str) -> int:
        """Return the number of observations, infinities included and NaNs not."""
        return self._read(name).k

    def n_samples(self, name: str) -> int:
        """Return the number of samples, the sum of the observations' ``n``."""
        return self._read(name).n

    def nan_count(self, name: str) -> int:
        """Return the number of observations that were NaN."""
        return self._read(name).nan

    def result(self, name: str) -> ScalarResult:
        """Return mean ± error, with the number of observations and of those that were not finite."""
        return self._result(self._read(name))

    def results(self) -> dict[str, ScalarResult]:
        """Return every measure's result by name."""
        return {name: self._result(measure) for name, measure in self._measures().items()}

    def merge(self, other: Meter) -> None:
        """Add all that ``other`` saw, exactly; ``other`` is unchanged.

        Raises:
            TypeError: ``other`` is no Meter.
            ValueError: The meters' nan_policy differs.
            KeyError: ``other`` has a measure that is not among those declared here.
        """
        if not isinstance(other, Meter):
            raise TypeError(f"merge: got a {type(other).__name__}; accepted: a Meter")
        if other._nan_policy != self._nan_policy:
            raise ValueError(
                f"merge: got a meter with nan_policy={other._nan_policy!r}; accepted: {self._nan_policy!r}, as here"
            )
        other._intake.transfers.finish(other._engine.update)
        if type(self._engine) is type(other._engine):
            self._engine.merge(other._engine)
        else:
            self._engine.add(other._measures())

    def __add__(self, other: Meter) -> Meter:
        if not isinstance(other, Meter):
            return NotImplemented
        declared = self._intake.declared and other._intake.declared
        names = self._intake.declared | other._intake.declared if declared else ()
        both = Meter(*sorted(names), nan_policy=self._nan_policy, engine=self.engine)
        both.merge(self)
        both.merge(other)
        return both

    def all_reduce(self, group: Any = None) -> Meter:
        """Return a meter of what all processes of torch.distributed saw; self is unchanged.

        Every process of ``group`` (None: all) must call it, and all of them with declared measures, the same ones, or
        all without. A process may lack measures that others have, or data. In a single process without
        torch.distributed it returns a copy.

        Raises:
            ValueError: nan_policy, or the declared measures, differ between processes; raised on all of them.
        """
        declared = self._intake.declared
        reduced = all_reduce(self._measures(), self._nan_policy, declared=bool(declared), group=group)
        meter = Meter(*sorted(declared), nan_policy=self._nan_policy, engine=self.engine)
        meter._engine.add(reduced)
        return meter

    def state_dict(self) -> dict[str, Any]:
        """Return all that the meter holds as a dict for JSON; equal meters give equal dicts, whatever the engine."""
        return to_state(self._measures(), self._nan_policy)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], *, engine: str | None = None) -> Self:
        """Return a meter that holds what :meth:`state_dict` gave; any measure may be added to it.

        Raises:
            ValueError: The state is corrupted; the message says where and why.
        """
        return _restore(cls, state, (), engine)

    def reset(self) -> None:
        """Forget all observations; declared measures stay, without any."""
        self._intake.transfers.clear()
        self._engine.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild = (type(self), self.state_dict(), tuple(sorted(self._intake.declared)), self.engine)
        return _rebuild, rebuild, getattr(self, "__dict__", None)

    def __repr__(self) -> str:
        names = "".join(f"{name!r}, " for name in self._engine.names())
        return f"<Meter {names}nan_policy={self._nan_policy!r}, engine={self.engine!r}>"

    def __str__(self) -> str:
        return "\n".join(f"{name}: {result}" for name, result in self.results().items())

    @property
    def _omits_nan(self) -> bool:
        return self._nan_policy == "omit"

    def _read(self, name: str) -> Measure:
        self._intake.transfers.finish(self._engine.update)
        return Measure._make(self._engine.measure(name))

    def _measures(self) -> dict[str, Measure]:
        self._intake.transfers.finish(self._engine.update)
        return {name: Measure._make(fields) for name, fields in self._engine.measures().items()}

    def _result(self, measure: Measure) -> ScalarResult:
        from core.utils.results import ScalarResult

        return ScalarResult(
            rounding.mean(measure, omit_nan=self._omits_nan),
            rounding.error(measure, 1, omit_nan=self._omits_nan),
            measure.k,
            measure.nan,
            measure.posinf + measure.neginf,
        )


def _restore(cls: type[_M], state: Mapping[str, Any], declared: Iterable[str], engine: str | None) -> _M:
    """Return a meter of class ``cls`` in that state, also where a subclass has another ``__init__``."""
    measures, nan_policy = from_state(state)
    meter = cls.__new__(cls)
    Meter.__init__(meter, *declared, nan_policy=nan_policy, engine=engine)
    meter._engine.add(measures)
    return meter


def _rebuild(cls: type[_M], state: Mapping[str, Any], declared: Iterable[str], engine: str) -> _M:
    """Return a copied or unpickled meter; with another engine where its own is not built."""
    return _restore(cls, state, declared, engine if engine in engines.available() else None)


def _as_ddof(ddof: object) -> int:
    if isinstance(ddof, bool) or not hasattr(ddof, "__index__"):
        raise TypeError(f"ddof: got {ddof!r} ({type(ddof).__name__}); accepted: an integer from 0")
    if (value := operator.index(ddof)) < 0:
        raise ValueError(f"ddof: got {value}; accepted: an integer from 0")
    return value
