"""Exact sums of products of two NumPy arrays, for the pairs of the Python engine.

The values are read from their bits, as in core.meter.exact. Each significand is cut into pieces of 20 bits; a product
of two significands is a sum of products of pieces. Those of equal weight and exponent are added by ``np.bincount``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.meter.exact import BLOCK, FORMATS, Bits, measure_array, scalar, without_bools
from core.meter.measure import S1_BITS
from core.meter.pair import Pair

_PIECE_BITS = 20  # three pieces hold the significand of a double, four an integer of 64 bits
_PIECE = (1 << _PIECE_BITS) - 1


class _Decoded(NamedTuple):
    """An array's values as sign * magnitude * 2**(shift - 1074); NaN and infinities have magnitude 0."""

    pieces: tuple[Bits, ...]  # of the magnitude, lowest first, with the sign
    shift: Bits
    is_nan: NDArray[np.bool_]
    is_infinite: NDArray[np.bool_]


def pair_arrays(a: NDArray[Any], b: NDArray[Any]) -> Pair:
    """Return the state after one observation per element. Both are arrays of one size as in ``measure_array``."""
    total = Pair()
    for start in range(0, a.size, BLOCK):
        total = total.merge(_pair_block(a[start : start + BLOCK], b[start : start + BLOCK]))
    return total


def numbers(array: NDArray[Any]) -> list[float | int]:
    """Return the elements of an array that :func:`measure_array` accepts as Python numbers, exactly."""
    return [scalar(array[i : i + 1]) for i in range(array.size)]


def _pair_block(a: NDArray[Any], b: NDArray[Any]) -> Pair:
    first, second = _decode(a), _decode(b)
    is_nan = first.is_nan | second.is_nan
    is_infinite = (first.is_infinite | second.is_infinite) & ~is_nan
    # An observation with a NaN on either side is incomplete: neither of its values counts.
    if is_nan.any():
        complete = ~is_nan
        a, b = a[complete], b[complete]
        first, second = _take(first, complete), _take(second, complete)
    n_nan = int(np.count_nonzero(is_nan))
    return Pair(measure_array(a), measure_array(b), _sum_of_products(first, second), n_nan, int(is_infinite.sum()))


def _take(decoded: _Decoded, keep: NDArray[np.bool_]) -> _Decoded:
    pieces = tuple(piece[keep] for piece in decoded.pieces)
    return _Decoded(pieces, decoded.shift[keep], decoded.is_nan[keep], decoded.is_infinite[keep])


def _decode(block: NDArray[Any]) -> _Decoded:
    form = FORMATS.get(block.dtype)
    none = np.zeros(block.size, np.bool_)
    if form is None:
        return _Decoded(_integer_pieces(block), np.full(block.size, S1_BITS), none, none)
    bits = block.view(form.as_integers).astype(np.int64)
    infinity = form.special << form.fraction_bits
    magnitude = bits & (infinity | (infinity - 1))
    is_nan, is_infinite = magnitude > infinity, magnitude == infinity
    # Subnormal numbers have the exponent field 0 but the scale of field 1. With field - 1, the subtraction below leaves
    # the implicit bit of normal numbers in place, and subnormal numbers, which have none, as they are.
    power = np.maximum((magnitude >> form.fraction_bits) - 1, 0)
    m = np.where(magnitude < infinity, magnitude - (power << form.fraction_bits), 0)
    sign = np.where(bits < 0, -1, 1)
    pieces = tuple(sign * (m >> shift & _PIECE) for shift in (0, 20, 40))
    return _Decoded(pieces, power + form.scale, is_nan, is_infinite)


def _integer_pieces(block: NDArray[Any]) -> tuple[Bits, ...]:
    """Return the pieces of bools or integers; the last one has the upper bits, with the sign of a signed type."""
    block = without_bools(block)
    wide = block.astype(np.uint64 if block.dtype.kind == "u" else np.int64)
    lower = [(wide >> shift & _PIECE).astype(np.int64) for shift in (0, 20, 40)]
    return (*lower, (wide >> 60).astype(np.int64))


def _sum_of_products(a: _Decoded, b: _Decoded) -> int:
    """Return the sum of the products in units of 2**-2148."""
    if not a.shift.size:
        return 0
    shift = a.shift + b.shift
    first = int(shift.min())  # bincount returns an entry for every number up to the largest, so count from here
    total = 0
    for degree in range(len(a.pieces) + len(b.pieces) - 1):
        # At most four products of 40 bits: the sum of 2^11 of these stays below 2^53, where float64 is exact.
        terms = [x * b.pieces[degree - i] for i, x in enumerate(a.pieces) if 0 <= degree - i < len(b.pieces)]
        sums = np.bincount(shift - first, weights=sum(terms[1:], terms[0])).tolist()
        total += sum(int(value) << (i + degree * _PIECE_BITS) for i, value in enumerate(sums) if value)
    return total << first
