"""Which engine counts: the argument, PYML_ENGINE and PYML_SIMD, and what is built."""

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

import numpy as np
import pytest
from meter_reference import KINDS, REQUIRED

from core.meter import engines, inputs, measure, python_engine
from core.utils.meters import Meter

needs_extension = pytest.mark.skipif(
    not REQUIRED and "c++" not in engines.available(), reason="the C++ engine is not built here"
)


@pytest.mark.skipif(not REQUIRED, reason="PYML_REQUIRE_EXTENSION is not 1")
def test_the_extension_answers_where_it_is_required() -> None:
    assert engines.available() == ("c++", "python")
    assert Meter(engine="c++").engine == "c++"


def test_the_fastest_engine_is_the_default(monkeypatch) -> None:
    monkeypatch.delenv("PYML_ENGINE", raising=False)
    assert Meter().engine == engines.available()[0]
    assert Meter(engine="python").engine == "python"


def test_the_environment_chooses_and_the_argument_goes_before(monkeypatch) -> None:
    monkeypatch.setenv("PYML_ENGINE", "python")
    assert Meter().engine == "python"
    assert "python" in engines.describe()
    if "c++" in engines.available():
        assert Meter(engine="c++").engine == "c++"


def test_an_unknown_engine_is_a_clear_error(monkeypatch) -> None:
    with pytest.raises(ValueError, match=r"engine: got 'rust'.*'c\+\+' or 'python'"):
        Meter(engine="rust")
    monkeypatch.setenv("PYML_ENGINE", "rust")
    with pytest.raises(ValueError, match=r"PYML_ENGINE: got 'rust'.*'c\+\+' or 'python'"):
        Meter()


def test_a_missing_extension_is_said_with_the_way_to_it(monkeypatch) -> None:
    monkeypatch.delenv("PYML_ENGINE", raising=False)
    monkeypatch.setattr(engines, "_missing", ImportError("No module named 'core._meter'"))
    assert Meter().engine == "python"
    assert "not built here (No module named 'core._meter')" in engines.describe()
    assert "pip install" in engines.describe()
    with pytest.raises(RuntimeError, match=r"engine: the C\+\+ engine is not built.*_meter.*pip install"):
        Meter(engine="c++")
    monkeypatch.setenv("PYML_ENGINE", "c++")
    with pytest.raises(RuntimeError, match="PYML_ENGINE"):
        Meter()


@needs_extension
def test_every_level_the_processor_has_can_be_chosen(monkeypatch) -> None:
    monkeypatch.setenv("PYML_ENGINE", "c++")
    levels = [kind.simd for kind in KINDS if kind.simd]
    assert levels == [level for level in engines.SIMD_LEVELS if level in levels]
    assert levels[-1] == "scalar"
    for level in levels:
        monkeypatch.setenv("PYML_SIMD", level)
        assert engines.describe() == f"meter engine: c++ (SIMD level {level})"
        assert Meter().engine == "c++"
    monkeypatch.delenv("PYML_SIMD")
    assert levels[0] in engines.describe()


@needs_extension
def test_constants_of_both_engines_are_equal() -> None:
    from core import _meter

    assert _meter.MOST_SAMPLES == inputs.MOST_SAMPLES
    assert _meter.COUNT_BITS == measure.COUNT_BITS
    assert (_meter.S1_BITS, _meter.S2_BITS) == (measure.S1_BITS, measure.S2_BITS)


@needs_extension
def test_the_fields_of_both_engines_are_in_the_same_order() -> None:
    compiled, python = Meter(engine="c++", nan_policy="omit"), Meter(engine="python", nan_policy="omit")
    for meter in (compiled, python):
        meter.update(x=2.0, n=10)
        meter.update(x=[-3.0, -1.0, math.nan, math.inf, math.inf, *[-math.inf] * 3])
    fields = compiled._engine.measure("x")
    assert len(set(fields)) == len(measure.Measure._fields)  # all differ: none can stand for another
    assert fields == tuple(python._engine.measure("x"))


@needs_extension
@pytest.mark.parametrize("difference", [-1, 0, 1])
def test_arrays_around_the_size_that_is_summed_without_the_gil_are_exact(difference) -> None:
    from core import _meter

    values = np.arange(_meter.LARGE_ARRAY + difference, dtype=np.float64)
    meter = Meter("x", engine="c++")
    meter.update(x=values)
    assert meter.mean("x") == (values.size - 1) / 2
    assert meter.count("x") == values.size


@needs_extension
def test_an_unknown_or_missing_level_is_a_clear_error(monkeypatch) -> None:
    monkeypatch.setenv("PYML_SIMD", "sse9")
    with pytest.raises(ValueError, match=r"PYML_SIMD: got 'sse9'.*avx512, avx2, baseline, scalar"):
        Meter(engine="c++")
    monkeypatch.setattr(engines, "_levels", ["baseline", "scalar"])
    monkeypatch.setenv("PYML_SIMD", "avx512")
    with pytest.raises(ValueError, match=r"PYML_SIMD: got 'avx512'.*not have it.*baseline, scalar"):
        Meter(engine="c++")


def test_importing_and_using_a_meter_does_not_import_torch() -> None:
    code = (
        "import sys; from core.utils.meters import Meter\n"
        "m = Meter(); m.update(x=1.0); m.update(x=[1, 2.0]); m.result('x'); m.all_reduce(); m.state_dict()\n"
        "sys.exit('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def interrupted(instruction: int, run: Callable[[], object]) -> bool:
    """Run a function until an instruction of the Python engine; return False if it ends before."""
    passed = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        nonlocal passed
        if frame.f_code.co_filename != python_engine.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            passed += 1
            if passed == instruction:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for this when settrace is called
    sys.settrace(trace)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("names", [["x"], ["x", "y"]], ids=str)
def test_an_interruption_at_any_instruction_of_a_read_counts_each_value_once(names) -> None:
    for instruction in itertools.count(1):
        meter = Meter(engine="python")
        for value in (0.5, 0.25, 2.0):
            meter.update(**dict.fromkeys(names, value))
        was_interrupted = interrupted(instruction, lambda m=meter: m.count("x"))
        assert [meter.count(name) for name in names] == [3] * len(names)
        meter.update(x=1.0)
        assert meter.mean("x") == 0.9375  # (0.5 + 0.25 + 2 + 1) / 4
        if not was_interrupted:
            break
    assert instruction > 50
