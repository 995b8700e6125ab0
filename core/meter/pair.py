"""Pair: the exact state of two measures whose observations belong together, such as nats and bytes of a document."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan
from typing import NamedTuple

from core.meter.float_bits import parts
from core.meter.measure import S1_BITS, Measure, of_float, of_integer
from core.meter.names import plain_name

Number = float | int


class Pair(NamedTuple):
    """The state of a pair: two measures over its complete observations, and the sum of products.

    An observation of a pair is complete if neither value is NaN. Sums and counts of ``a`` and ``b`` include complete
    observations only, so that both measures always have the same ``k`` and ``n`` and no NaN.
    """

    a: Measure = Measure()  #: the first value of each complete observation
    b: Measure = Measure()  #: the second value
    ab: int = 0  #: sum of w*a*b where both values are finite, in units of 2**-2148
    nan: int = 0  #: number of incomplete observations
    inf: int = 0  #: number of complete observations in which a value is infinite

    def merge(self, other: Pair) -> Pair:
        """Return the state of the observations of both. Exact, associative and commutative."""
        return Pair(
            self.a.merge(other.a),
            self.b.merge(other.b),
            self.ab + other.ab,
            self.nan + other.nan,
            self.inf + other.inf,
        )

    def swap(self) -> Pair:
        """Return the state of the pair with its values in the other order."""
        return self._replace(a=self.b, b=self.a)


def of_numbers(a: Iterable[Number], b: Iterable[Number], w: int = 1) -> Pair:
    """Return the state after observations of any real numbers, each pair the mean of ``w`` samples."""
    total = Pair()
    for x, y in zip(a, b, strict=True):
        total = total.merge(_of_two(x, y, w))
    return total


def _of_two(x: Number, y: Number, w: int) -> Pair:
    # Both values are left out, or the two measures would no longer be of the same observations.
    if any(isinstance(value, float) and isnan(value) for value in (x, y)):
        return Pair(nan=1)
    first, second = _measure(x, w), _measure(y, w)
    if first.posinf or first.neginf or second.posinf or second.neginf:
        return Pair(first, second, inf=1)
    (m, e), (other_m, other_e) = _parts(x), _parts(y)
    return Pair(first, second, (w * m * other_m) << (e + other_e))


def _measure(x: Number, w: int) -> Measure:
    return of_float(x, w) if isinstance(x, float) else of_integer(x, w)


def _parts(x: Number) -> tuple[int, int]:
    return parts(x) if isinstance(x, float) else (x, S1_BITS)


def canonical(names: Iterable[str]) -> tuple[str, str]:
    """Return a pair's two names in the order in which the state has them, which is sorted."""
    first, second = sorted(map(plain_name, names))
    return first, second


def checked_pairs(pairs: Iterable[tuple[str, str]], declared: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the pairs with their names sorted; the order of the two has no meaning in the state."""
    checked: list[tuple[str, str]] = []
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Iterable):
            raise TypeError(f"pairs: got {pair!r} ({type(pair).__name__}); accepted: pairs of names, as [('a', 'b')]")
        names = tuple(plain_name(name) if isinstance(name, str) else name for name in pair)
        if len(names) != 2 or not all(isinstance(name, str) for name in names) or names[0] == names[1]:
            raise ValueError(f"pairs: got {pair!r}; accepted: two different names, as ('a', 'b')")
        if declared and not set(names) <= set(declared):
            raise ValueError(f"pairs: got {pair!r}; accepted: two of the declared names {', '.join(declared)}")
        if canonical(names) in checked:
            raise ValueError(f"pairs: got {pair!r} twice")
        checked.append(canonical(names))
    return checked
