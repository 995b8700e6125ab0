"""The two engines, C++ and Python: their common interface, and which of them a meter uses."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

from core.config.errors import ConfigError
from core.meter import self_test
from core.meter.intake import Intake
from core.meter.measure import Measure
from core.meter.pair import Pair
from core.meter.python_engine import PythonEngine

ENGINES = ("c++", "python")
SIMD_LEVELS = ("avx512", "avx2", "baseline", "scalar")

HOW_TO_BUILD = (
    "install a C++17 compiler, then in a clone `pip install --force-reinstall --no-deps .`, or with -e to run from the "
    "clone itself (`PYML_REQUIRE_EXTENSION=1` shows why a build fails)"
)

try:
    from core import _meter
# A library without its extension still works, only slower; describe() gives the reason.
except ImportError as fault:
    _missing: ImportError | None = fault
else:
    _missing = None


def _refuse_a_broken_build(module: ModuleType) -> ImportError | None:
    """Return the error of an extension that computes wrong sums, after a warning; None if its sums are right."""
    try:
        self_test.check(module)
    except ImportError as fault:
        warnings.warn(f"{fault}; the Python engine of the meter is used: {HOW_TO_BUILD}", RuntimeWarning, stacklevel=3)
        return fault
    return None


if _missing is None:
    _missing = _refuse_a_broken_build(_meter)

_levels = [] if _missing is not None else _meter.simd_levels()  # of this processor, best first


class Engine(Protocol):
    """Holds the exact state of a meter's measures by name."""

    @property
    def name(self) -> str:
        """The engine's name, one of ``ENGINES``."""

    def update(self, measures: Mapping[str, Any] | None = None, /, *, n: Any = 1, **values: Any) -> None:
        """Add an update to all of its measures, or to none."""

    def names(self) -> list[str]:
        """Return the names: declared measures first, then the others in the order of their first update."""

    def measure(self, name: str) -> tuple[Any, ...]:
        """Return the fields of one :class:`Measure`; KeyError if there is no measure of that name."""

    def measures(self) -> Mapping[str, tuple[Any, ...]]:
        """Return the fields of every :class:`Measure` by name; no update falls between two of them."""

    def pair(self, position: int) -> tuple[Any, ...]:
        """Return the fields of one :class:`Pair`, by its position in ``Intake.pairs``."""

    def state(self) -> tuple[Mapping[str, tuple[Any, ...]], Sequence[tuple[Any, ...]]]:
        """Return the fields of every measure by name, and of every pair; no update falls between two of them."""

    def add(self, measures: Mapping[str, Measure], pairs: list[Pair] = ...) -> None:
        """Add observations given as states, to all measures and pairs or to none; KeyError for an undeclared name."""

    def merge(self, other: Any) -> None:
        """Add the observations of another engine of the same class, with equal pairs; otherwise like :meth:`add`."""

    def clear(self) -> None:
        """Remove all observations. Declared measures stay, with no observations."""


def available() -> tuple[str, ...]:
    """Return the names of the engines that can run here, the preferred one first."""
    return ENGINES if _missing is None else ("python",)


def choose(engine: str | None = None) -> str:
    """Return the name of the engine to use: the argument, else ``PYML_ENGINE``, else the fastest one that is built.

    Raises:
        ConfigError: No engine has that name.
        RuntimeError: The C++ engine is asked for, but it is not built.
    """
    where = "engine" if engine is not None else "PYML_ENGINE"
    wanted = engine if engine is not None else os.environ.get("PYML_ENGINE") or available()[0]
    if wanted not in ENGINES:
        raise ConfigError(f"{where}: got {wanted!r}; accepted: 'c++' or 'python'")
    if wanted not in available():
        raise RuntimeError(f"{where}: the C++ engine is not built here ({_missing}); to get it, {HOW_TO_BUILD}")
    return wanted


def simd_level() -> str:
    """Return the SIMD level of the C++ engine: ``PYML_SIMD``, else the best level that this processor has.

    Raises:
        ConfigError: ``PYML_SIMD`` is not the name of a level, or this processor does not have that level.
    """
    here = _levels
    wanted = os.environ.get("PYML_SIMD") or here[0]
    if wanted not in SIMD_LEVELS:
        raise ConfigError(f"PYML_SIMD: got {wanted!r}; accepted: {', '.join(SIMD_LEVELS)}")
    if wanted not in here:
        raise ConfigError(f"PYML_SIMD: got {wanted!r}; this processor does not have it; accepted: {', '.join(here)}")
    return wanted


def create(name: str, intake: Intake) -> tuple[Engine, Callable[..., None]]:
    """Create the engine of that name; return it and its ``update``, as a callable."""
    if name == "python":
        # update is returned apart from the engine, so that a meter calls it without a look-up.
        python = PythonEngine(intake)
        return python, python.float_update()
    compiled = _meter.Engine(intake, simd_level())
    return compiled, compiled.update


def describe() -> str:
    """Return one line that names the engine in use and, if it is the Python one, says how to build the C++ one."""
    name = choose()
    if name == "c++":
        return f"meter engine: c++ (SIMD level {simd_level()})"
    if _missing is None:
        return "meter engine: python, as PYML_ENGINE asks; the C++ engine is built"
    return f"meter engine: python; the C++ engine is not built here ({_missing}): {HOW_TO_BUILD}"
