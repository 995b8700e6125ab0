"""Engines: which one counts, C++ or Python, and the interface that both have."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from core.config.errors import ConfigError
from core.meter.intake import Intake
from core.meter.measure import Measure
from core.meter.python_engine import PythonEngine

ENGINES = ("c++", "python")
SIMD_LEVELS = ("avx512", "avx2", "baseline", "scalar")

HOW_TO_BUILD = (
    "install a C++17 compiler, then in a clone `pip install --force-reinstall --no-deps .`, or with -e to run from the "
    "clone itself (`PYML_REQUIRE_EXTENSION=1` shows why a build fails)"
)

try:
    from core import _meter
except ImportError as fault:
    _missing: ImportError | None = fault
else:
    _missing = None


class Engine(Protocol):
    """Exact state of a meter's measures by name."""

    @property
    def name(self) -> str:
        """The engine's name, one of ``ENGINES``."""

    def update(self, measures: Mapping[str, Any] | None = None, /, *, n: Any = 1, **values: Any) -> None:
        """Add one update, whole or not at all."""

    def names(self) -> list[str]:
        """Return the measures' names: the declared ones, then the others as they came."""

    def measure(self, name: str) -> tuple[Any, ...]:
        """Return the fields of one measure's :class:`Measure`; KeyError if there is none of that name."""

    def measures(self) -> Mapping[str, tuple[Any, ...]]:
        """Return the fields of every :class:`Measure` by name, all of one moment."""

    def add(self, measures: Mapping[str, Measure]) -> None:
        """Add observations given as states, all or none; KeyError for a name that was not declared."""

    def merge(self, other: Any) -> None:
        """Add the observations of another engine of the same class, all or none; likewise."""

    def clear(self) -> None:
        """Forget all observations; declared measures stay, without any."""


def available() -> tuple[str, ...]:
    """Return the names of the engines that can run here, the preferred one first."""
    return ENGINES if _missing is None else ("python",)


def choose(engine: str | None = None) -> str:
    """Return the engine's name that an argument, else ``PYML_ENGINE``, else what is built asks for.

    Raises:
        ConfigError: There is no engine of that name.
        RuntimeError: It is the C++ engine, which is not built here.
    """
    where = "engine" if engine is not None else "PYML_ENGINE"
    wanted = engine if engine is not None else os.environ.get("PYML_ENGINE") or available()[0]
    if wanted not in ENGINES:
        raise ConfigError(f"{where}: got {wanted!r}; accepted: 'c++' or 'python'")
    if wanted not in available():
        raise RuntimeError(f"{where}: the C++ engine is not built here ({_missing}); to get it, {HOW_TO_BUILD}")
    return wanted


def simd_level() -> str:
    """Return the SIMD level of the C++ engine: the best that this processor has, or what ``PYML_SIMD`` asks for.

    Raises:
        ConfigError: ``PYML_SIMD`` names none, or one that this processor lacks.
    """
    here = _meter.simd_levels()
    wanted = os.environ.get("PYML_SIMD") or here[0]
    if wanted not in SIMD_LEVELS:
        raise ConfigError(f"PYML_SIMD: got {wanted!r}; accepted: {', '.join(SIMD_LEVELS)}")
    if wanted not in here:
        raise ConfigError(f"PYML_SIMD: got {wanted!r}, which this processor lacks; accepted here: {', '.join(here)}")
    return wanted


def create(name: str, intake: Intake) -> tuple[Engine, Callable[..., None]]:
    """Return an engine of that name and its ``update``."""
    if name == "python":
        python = PythonEngine(intake)
        return python, python.float_update()
    compiled = _meter.Engine(intake, simd_level())
    return compiled, compiled.update


def describe() -> str:
    """Return one line that says which engine runs and, if it is not the C++ one, how to get that."""
    name = choose()
    if name == "c++":
        return f"meter engine: c++ (SIMD level {simd_level()})"
    if _missing is None:
        return "meter engine: python, as PYML_ENGINE asks; the C++ engine is built"
    return f"meter engine: python; the C++ engine is not built here ({_missing}): {HOW_TO_BUILD}"
