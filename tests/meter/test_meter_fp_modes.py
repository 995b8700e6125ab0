"""Other rounding modes of the processor, and trapped exceptions, change no bit; for every engine and level."""

import ctypes
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest
import torch
from meter_reference import ENGINES, KINDS, is_root

from core.meter import rounding
from core.utils.meters import Meter

ON_X86 = platform.system() == "Linux" and platform.machine() == "x86_64"
pytestmark = pytest.mark.skipif(not ON_X86, reason="the constants of fenv.h are those of Linux on x86-64")

MODES = pytest.mark.parametrize("mode", [0x400, 0x800, 0xC00], ids=["down", "up", "to zero"])

SCALARS = [
    *(np.float32(x) for x in (0.1, -1e-45, 3.4e38, 0.0, -0.0)),
    *(np.float16(x) for x in (0.1, 6e-8, -65504.0)),
    *(torch.tensor(x, dtype=torch.bfloat16) for x in (0.1, -3e38, 1e-40)),
    *(np.int64(x) for x in (2**63 - 1, -(2**63) + 1, 2**53 + 1, -(2**53) - 1)),
    np.uint64(2**64 - 1),
    2**70 + 1,
    0.1,
]


@contextmanager
def rounding_mode(mode: int) -> Iterator[None]:
    """Change the rounding mode of this thread, as fesetround of C does."""
    libm = ctypes.CDLL("libm.so.6")
    before = libm.fegetround()
    assert libm.fesetround(mode) == 0
    try:
        yield
    finally:
        libm.fesetround(before)


def arrays() -> list[dict]:
    """Return updates with arrays: made before the mode changes, because NumPy rounds by it."""
    rng = np.random.default_rng(0)
    normal, integers = rng.standard_normal(1500), rng.integers(-(2**63), 2**63 - 1, 99)
    single = normal.astype(np.float32)
    return [
        *({"z": normal.astype(dtype), "w": normal.astype(dtype)[:5]} for dtype in (np.float64, np.float32, np.float16)),
        {"i": integers, "u": integers.view(np.uint64), "b": torch.from_numpy(normal).to(torch.bfloat16)},
        {"a": integers, "c": integers[::-1]},
        {"a": normal, "c": single[::-1]},
        {"a": 0.1, "c": single[0]},
    ]


ARRAYS = arrays()


def updated(meter: Meter) -> list:
    """Add values of all formats; return the state and every result."""
    for scalar in SCALARS:
        meter.update(x=scalar)
        meter.update(y=scalar, n=3)
        meter.update({"new": [scalar, scalar]})
    for each in ARRAYS:
        meter.update(each)
    results = [getattr(meter, read)(name) for name in meter for read in ("mean", "error", "std", "min", "max", "sum")]
    pair = [meter.ratio("a", "c"), meter.difference("a", "c")]
    return [meter.state_dict(), results, pair, meter.covariance("a", "c"), meter.correlation("a", "c")]


@ENGINES
@MODES
def test_the_rounding_mode_changes_no_bit(new, mode) -> None:
    expected = updated(new(pairs=[("a", "c")]))
    with rounding_mode(mode):
        found = updated(new(pairs=[("a", "c")]))
    assert found == expected


@MODES
def test_quotients_of_small_integers_are_rounded_to_nearest(mode) -> None:
    for p, q in ((1, 3), (2, 3), (-1, 3), (10**15, 7), (-2, 7)):
        with rounding_mode(mode):
            value, root = rounding.ratio(p, q), rounding.root(abs(p), q)
        assert value == float(Fraction(p, q))
        assert is_root(root, Fraction(abs(p), q))


#: Forks a process for each engine and level, because importing torch takes most of the time.
TRAPPED = """
import ctypes, math, os, sys
import numpy as np
import torch

engine = simd = ""
for engine, _, simd in (kind.partition(" ") for kind in sys.argv[1:]):
    child = os.fork()
    if child == 0:
        break
    print(f"{engine} {simd}: exit code {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}", flush=True)
else:
    sys.exit()
os.environ["PYML_SIMD"] = simd
from core.utils.meters import Meter

meter = Meter(engine=engine, nan_policy="omit", pairs=[("a", "b")])
signalling = np.array([0x7FA00000, 0x3F800000], np.uint32).view(np.float32)
values = np.array([math.nan, math.inf, -math.inf, 1.0] * 40)
assert ctypes.CDLL("libm.so.6").feenableexcept(1) >= 0  # FE_INVALID ends the process from now on
for each in (signalling, np.resize(signalling, 100), signalling[0], signalling[:1], values, values[:4].tolist()):
    meter.update(x=each)
meter.update(x=torch.tensor(math.nan))
meter.update(a=[math.nan, math.inf, 1.0, math.inf], b=[1.0, math.inf, -math.inf, 2.0])
meter.update(a=values, b=values[::-1])
for read in ("mean", "error", "std", "variance", "min", "max", "sum", "count"):
    getattr(meter, read)("x")
print(meter.nan_count("x"), meter.ratio("a", "b").n_inf > 0, meter.difference("a", "b").n, meter.covariance("a", "b"))
both = meter + Meter.from_state_dict(meter.state_dict())
print(both.count("x"), str(both.result("x")), flush=True)
os._exit(0)  # without the end of Python, which takes a second to free torch
"""


def test_a_trapped_invalid_operation_is_never_made() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    kinds = [f"{kind.engine} {kind.simd or ''}" for kind in KINDS]
    command = [sys.executable, "-c", TRAPPED, *kinds]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    n_nan = 1 + 50 + 1 + 1 + 40 + 1 + 1
    lines = iter(done.stdout.splitlines())
    for kind in kinds:
        assert next(lines, "") == f"{n_nan} True {3 + 80} nan", (kind, done.stdout, done.stderr)
        assert next(lines, "").startswith(f"{2 * (1 + 50 + 120 + 3)} nan")
        assert next(lines, "") == f"{kind}: exit code 0"


def test_an_infinite_ratio_is_the_quotient_of_the_means() -> None:
    inf = math.inf
    for a, b, expected in [(inf, 2.0, inf), (inf, -2.0, -inf), (1.0, -inf, 0.0), (inf, inf, math.nan)]:
        meter = Meter(pairs=[("a", "b")])
        meter.update(a=a, b=b)
        assert str(meter.ratio("a", "b").mean) == str(expected)
