"""Self-test of the C++ engine: a few sums with known bits, run once at import, so that a broken build is never used.

The header ``csrc/float_bits.hpp`` refuses the compiler flags that are known to make sums wrong. This test finds the
effect of any other, at every SIMD level of the processor.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from core.meter.intake import Intake
from core.meter.measure import S1_BITS, S2_BITS, Measure

_SIZE = 160  # values per array: more than a vector kernel needs, and few enough for a start-up of microseconds
_SMALL = 2.0**-40


def check(module: ModuleType) -> None:
    """Raise ImportError if the extension module computes wrong sums, or does not fit this version of the library."""
    try:
        _check_levels(module)
    except (AttributeError, TypeError, RuntimeError) as error:  # what pybind11 raises where two versions do not fit
        raise ImportError(f"core._meter is of another version than the library ({error})") from error


def _check_levels(module: ModuleType) -> None:
    for level in module.simd_levels():
        engine = module.Engine(Intake(), level)
        for name, (values, expected) in _known_sums().items():
            engine.update({name: values})
            if engine.measure(name) != tuple(expected):
                raise ImportError(
                    f"the self-test of core._meter failed: wrong sums of {name} at SIMD level {level}; it may be "
                    "compiled with -ffast-math, or for another processor"
                )


def _known_sums() -> dict[str, tuple[object, Measure]]:
    """Return arrays, and their sums by formulas for Σi and Σi²."""
    i = np.arange(_SIZE)
    n, sum_i, sum_ii = _SIZE, _SIZE * (_SIZE - 1) // 2, (_SIZE - 1) * _SIZE * (2 * _SIZE - 1) // 6
    one, one_squared = 1 << S1_BITS, 1 << S2_BITS
    # Σ(i + 2^-40) and Σ(i + 2^-40)²: significands of 48 bits, of which a rounded sum would lose some.
    s1, s2 = sum_i * one + (n * one >> 40), sum_ii * one_squared + (2 * sum_i * one_squared >> 40)
    s2 += n * one_squared >> 80
    doubles = Measure(n, n, s1, s2, _SMALL, _SIZE - 1 + _SMALL)
    integers = Measure(n, n, sum_i * one, sum_ii * one_squared, 0.0, _SIZE - 1.0)
    special = np.tile([1.0, float("inf"), float("nan"), -float("inf")], _SIZE // 4)
    of_each = _SIZE // 4
    counts = {"nan": of_each, "posinf": of_each, "neginf": of_each}
    k, inf = 3 * of_each, float("inf")
    infinities = Measure(k, k, of_each * one, of_each * one_squared, -inf, inf, **counts)
    return {
        "float64": (i + _SMALL, doubles),
        "float32": (i.astype(np.float32), integers),
        "int64": (i, integers),
        "infinities and NaN": (special, infinities),
    }
