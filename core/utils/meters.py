"""Meter: exact statistics, with the same bits for any order, batch size and split over processes."""

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
"""


class Meter:
    """Computes the mean, standard error, extremes and counts of several measures, each correctly rounded.

    A meter keeps the exact sums of w·x and w·x² of each measure, where an observation x is the mean of w samples.
    Every result is the exact value rounded once to float64. Memory per measure is constant. Threads may share a meter.

    Args:
        *names: Declares the measures: they exist from the start, and any other name is an error. Without names, a
            measure is created by its first update.
        nan_policy: "propagate": results are NaN once a NaN came. "omit": NaNs are counted and left out of results.
            "raise": an update with a NaN raises ValueError.
        engine: "c++" or "python"; both give the same bits. None: ``PYML_ENGINE``, else the fastest engine available.

    Raises:
        TypeError: A name is not a string.
        ValueError: A name comes twice, or nan_policy or engine is unknown.
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

    def __init__(self, *names: str, nan_policy: str = "propagate", engine: str | None = None) -> None:
        if nan_policy not in POLICIES:
            raise ValueError(f"nan_policy: got {nan_policy!r}; accepted: {', '.join(map(repr, POLICIES))}")
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"names: got {name!r} ({type(name).__name__}); accepted: strings, as Meter('a', 'b')")
        if len(set(names)) < len(names):
            raise ValueError(f"names: got a name twice in {', '.join(map(repr, names))}")
        self._nan_policy = nan_policy
        self._intake = Intake(map(str, names), refuses_nan=nan_policy == "raise")
        self._engine, update = engines.create(engines.choose(engine), self._intake)
        Meter.__dict__["update"].__set__(self, update)  # the slot, also where a subclass has its own update

    @property
    def engine(self) -> str:
        """The engine in use: "c++" or "python"."""
        return self._engine.name

    @property
    def nan_policy(self) -> str:
        """What happens at a NaN: "propagate", "omit" or "raise"."""
        return self._nan_policy

    def mean(self, name: str) -> float:
        """Return the mean over all samples; NaN if there is no data."""
        return rounding.mean(self._read(name), omit_nan=self._omits_nan)

    def error(self, name: str, ddof: int = 1) -> float:
        """Return the standard error of the mean, sqrt(variance / n_samples); NaN for fewer than two observations.

        A confidence interval from it has ``count - 1`` degrees of freedom. ``ddof`` is subtracted from the number of
        observations in the denominator of the variance.
        """
        return rounding.error(self._read(name), _as_ddof(ddof), omit_nan=self._omits_nan)

    def std(self, name: str, ddof: int = 1) -> float:
        """Return the standard deviation per sample; NaN for fewer than two observations. ``ddof``: as in `error`."""
        return rounding.std(self._read(name), _as_ddof(ddof), omit_nan=self._omits_nan)

    def min(self, name: str) -> float:
        """Return the smallest observation; NaN if there is no data."""
        measure = self._read(name)
        return rounding.extreme(measure.min, measure, omit_nan=self._omits_nan)

    def max(self, name: str) -> float:
        """Return the largest observation; NaN if there is no data."""
        measure = self._read(name)
        return rounding.extreme(measure.max, measure, omit_nan=self._omits_nan)

    def count(self, name: str) -> int:
        """Return the number of observations, including infinities and excluding NaNs."""
        return self._read(name).k

    def n_samples(self, name: str) -> int:
        """Return the number of samples: the sum of ``n`` over the observations."""
        return self._read(name).n

    def nan_count(self, name: str) -> int:
        """Return the number of observations that were NaN."""
        return self._read(name).nan

    def result(self, name: str) -> ScalarResult:
        """Return mean ± error with the numbers of observations, NaNs and infinities."""
        return self._result(self._read(name))

    def results(self) -> dict[str, ScalarResult]:
        """Return the result of every measure by name."""
        return {name: self._result(measure) for name, measure in self._measures().items()}

    def merge(self, other: Meter) -> None:
        """Add all observations of ``other``, exactly; ``other`` does not change.

        Raises:
            TypeError: ``other`` is not a Meter.
            ValueError: The two meters have different nan_policy.
            KeyError: ``other`` has a measure that was not declared here.
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
        """Return a meter with the observations of all processes of torch.distributed; self does not change.

        Every process of ``group`` (None: all processes) must call this. Either all of them declared the same measures,
        or none of them declared any. A process without data, or without some of the measures, is fine. Without
        torch.distributed this returns a copy.

        Raises:
            ValueError: nan_policy or the declared measures differ between processes; raised on all of them.
        """
        declared = self._intake.declared
        reduced = all_reduce(self._measures(), self._nan_policy, declared=bool(declared), group=group)
        meter = Meter(*sorted(declared), nan_policy=self._nan_policy, engine=self.engine)
        meter._engine.add(reduced)
        return meter

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a dict for JSON. Equal meters give equal dicts, with either engine."""
        return to_state(self._measures(), self._nan_policy)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], *, engine: str | None = None) -> Self:
        """Return a meter with the state that :meth:`state_dict` returned. It has no declared measures.

        Raises:
            ValueError: The state is corrupt; the message says where and why.
        """
        return _restore(cls, state, (), engine)

    def reset(self) -> None:
        """Remove all observations. Declared measures stay, with no observations."""
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
    """Return a meter with that state; a subclass's own ``__init__`` is not called.

    Args:
        cls: The class of the meter.
        state: As returned by :meth:`Meter.state_dict`.
        declared: The names of the declared measures, if any.
        engine: As for :class:`Meter`.
    """
    measures, nan_policy = from_state(state)
    meter = cls.__new__(cls)
    Meter.__init__(meter, *declared, nan_policy=nan_policy, engine=engine)
    meter._engine.add(measures)
    return meter


def _rebuild(cls: type[_M], state: Mapping[str, Any], declared: Iterable[str], engine: str) -> _M:
    """Return a copied or unpickled meter; it uses the default engine if its own is not built here."""
    return _restore(cls, state, declared, engine if engine in engines.available() else None)


def _as_ddof(ddof: object) -> int:
    if isinstance(ddof, bool) or not hasattr(ddof, "__index__"):
        raise TypeError(f"ddof: got {ddof!r} ({type(ddof).__name__}); accepted: an integer from 0")
    if (value := operator.index(ddof)) < 0:
        raise ValueError(f"ddof: got {value}; accepted: an integer from 0")
    return value
