"""The self-test of the C++ engine: a sound build passes, and a broken one is not used."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from meter_reference import REQUIRED

from core.meter import engines, self_test
from core.meter.measure import of_float
from core.utils.meters import Meter

pytestmark = pytest.mark.skipif(
    not REQUIRED and "c++" not in engines.available(), reason="the C++ engine is not built here"
)


def test_the_known_sums_are_those_of_the_values() -> None:
    for values, expected in self_test._known_sums().values():
        total = sum_of(values)
        assert total == expected


def sum_of(values):
    total = of_float(float(values[0]))
    for value in values[1:]:
        total = total.merge(of_float(float(value)))
    return total


class Rounding:
    """An engine that adds as one does that was compiled with -ffast-math: some values lose their lower bits."""

    lost = "float64"

    def __init__(self, intake, level):
        self.engine = engines._meter.Engine(intake, level)

    def update(self, measures):
        for name, values in measures.items():
            self.engine.update({name: np.round(values) if name == self.lost else values})

    def measure(self, name):
        return self.engine.measure(name)


class ForgettingNaN(Rounding):
    """An engine compiled under the assumption that there is no NaN."""

    lost = ""

    def measure(self, name):
        fields = self.engine.measure(name)
        return (*fields[:6], 0, *fields[7:])


@pytest.mark.parametrize(("engine", "what"), [(Rounding, "float64"), (ForgettingNaN, "infinities and NaN")])
def test_a_build_that_adds_wrongly_is_refused_with_one_line(engine, what) -> None:
    broken = SimpleNamespace(Engine=engine, simd_levels=engines._meter.simd_levels)
    self_test.check(engines._meter)
    with pytest.raises(ImportError, match=rf"self-test of core\._meter failed: wrong sums of {what} at SIMD level \w+"):
        self_test.check(broken)


def test_without_a_sound_build_the_python_engine_is_used(monkeypatch) -> None:
    broken = SimpleNamespace(Engine=Rounding, simd_levels=engines._meter.simd_levels)
    with pytest.warns(RuntimeWarning, match=r"self-test of core\._meter failed.*the Python engine.*is used") as warned:
        fault = engines._refuse_a_broken_build(broken)
    assert len(warned) == 1
    assert "\n" not in str(warned[0].message)
    monkeypatch.setattr(engines, "_missing", fault)
    monkeypatch.delenv("PYML_ENGINE", raising=False)
    meter = Meter()
    meter.update(x=[0.1, 0.2])
    assert meter.engine == "python"
    assert not math.isnan(meter.mean("x"))
    assert "self-test of core._meter failed" in engines.describe()
    with pytest.raises(RuntimeError, match="self-test"):
        Meter(engine="c++")


@pytest.mark.parametrize(
    "error", [AttributeError("no attribute 'Engine'"), RuntimeError("Unable to cast"), TypeError()]
)
def test_an_extension_of_another_version_is_refused(error: Exception) -> None:
    class Outdated:
        @staticmethod
        def simd_levels() -> list[str]:
            raise error

    with pytest.raises(ImportError, match=r"core\._meter is of another version than the library \("):
        self_test.check(Outdated)
