"""What the meter's tests compare with: statistics in rationals that share no code with the meter."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import NamedTuple

import pytest

from core.meter import engines
from core.utils.meters import Meter

REQUIRED = os.environ.get("PYML_REQUIRE_EXTENSION") == "1"


class Kind(NamedTuple):
    """A way to make meters: an engine and, of the C++ one, a SIMD level."""

    engine: str
    simd: str | None = None

    def __str__(self) -> str:
        return self.engine if self.simd is None else f"{self.engine}-{self.simd}"

    def __call__(self, *names: str, nan_policy: str = "propagate", pairs: Iterable[tuple[str, str]] = ()) -> Meter:
        with self.environment():
            return Meter(*names, pairs=pairs, nan_policy=nan_policy, engine=self.engine)

    def load(self, state: dict) -> Meter:
        with self.environment():
            return Meter.from_state_dict(state, engine=self.engine)

    @contextmanager
    def environment(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            if self.simd is not None:
                patch.setenv("PYML_SIMD", self.simd)
            yield


def simd_levels() -> list[str]:
    from core import _meter

    return _meter.simd_levels()


KINDS = [Kind("python")]
if REQUIRED or "c++" in engines.available():
    KINDS += [Kind("c++", level) for level in simd_levels()]
ENGINES = pytest.mark.parametrize("new", KINDS, ids=str)


def exact_mean(values: list, weights: list[int] | None = None) -> Fraction:
    weights = weights or [1] * len(values)
    return sum((w * Fraction(x) for x, w in zip(values, weights, strict=True)), Fraction(0)) / sum(weights)


def exact_variance(values: list, weights: list[int] | None = None, ddof: int = 1) -> Fraction:
    """Return Σw(x - mean)² / (k - ddof): by deviations, where the meter goes by the sum of squares."""
    weights = weights or [1] * len(values)
    mean = exact_mean(values, weights)
    deviations = (w * (Fraction(x) - mean) ** 2 for x, w in zip(values, weights, strict=True))
    return sum(deviations, Fraction(0)) / (len(values) - ddof)


def to_double(x: Fraction) -> float:
    """Round to the nearest double, ties to even; ±inf from the midpoint beyond the largest."""
    try:
        return float(x) + 0.0
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def is_root(root: float, square: Fraction) -> bool:
    """Say whether ``root`` is the double nearest to the square root, by the midpoints to its neighbours."""
    if root == math.inf:
        return square >= ((Fraction(math.nextafter(math.inf, 0)) + 2**1024) / 2) ** 2
    below = (Fraction(root) + Fraction(math.nextafter(root, -math.inf))) / 2
    above_root = math.nextafter(root, math.inf)
    above = (Fraction(root) + (2**1024 if above_root == math.inf else Fraction(above_root))) / 2
    return (root == 0 or below**2 <= square) and square <= above**2


def check(meter: Meter, name: str, values: list, weights: list[int] | None = None) -> None:
    """Compare every read-out of finite values, every bit."""
    weights = weights or [1] * len(values)
    assert meter.count(name) == len(values)
    assert meter.n_samples(name) == sum(weights)
    assert meter.nan_count(name) == 0
    if not values:
        assert all(math.isnan(read(name)) for read in (meter.mean, meter.error, meter.std, meter.min, meter.max))
        return
    assert same(meter.mean(name), to_double(exact_mean(values, weights)))
    assert same(meter.min(name), to_double(Fraction(min(values))))
    assert same(meter.max(name), to_double(Fraction(max(values))))
    if len(values) < 2:
        assert math.isnan(meter.error(name))
        assert math.isnan(meter.std(name))
        return
    variance = exact_variance(values, weights)
    assert is_root(meter.std(name), variance)
    assert is_root(meter.error(name), variance / sum(weights))


def same(a: float, b: float) -> bool:
    """Say whether two doubles have the same bits, or both are NaN."""
    return (math.isnan(a) and math.isnan(b)) or a.hex() == b.hex()
