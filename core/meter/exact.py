"""Exact sums of NumPy arrays, for the Python engine.

Each value is an integer m times a power of two. Both are read from its bits, so that a flush-to-zero mode of the
processor cannot change it. Values whose exponents fall in the same window of ``_WINDOW`` exponents are shifted to a
common exponent and summed together, in pieces of 20 bits. ``np.bincount`` adds in float64; the sum of 2,048 pieces, or
products of two pieces, stays below 2^53 and is therefore exact.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.meter.float_bits import from_order, nearest
from core.meter.measure import S1_BITS, S2_BITS, Measure

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])  #: Stands for bfloat16, which NumPy does not have.
BLOCK = 1 << 11  #: Values per call of bincount: 2^11 times three products of 20 by 20 bits stay below 2^53.

_PIECE_BITS = 20
_PIECE = (1 << _PIECE_BITS) - 1
_WINDOW_BITS = 3  #: 2^3 exponents share a window: a 53-bit significand shifted by up to 7 fits three pieces of 20 bits.
_WINDOW = 1 << _WINDOW_BITS

Bits = NDArray[np.int64]


class Format(NamedTuple):
    """A binary floating-point format: the integer dtype of its bits, and the widths of its fields."""

    as_integers: np.dtype[Any]
    exponent_bits: int
    fraction_bits: int

    @property
    def special(self) -> int:
        """The exponent field of infinities and NaNs."""
        return (1 << self.exponent_bits) - 1

    @property
    def scale(self) -> int:
        """The exponent e such that the format's smallest positive value is 2^e units of 2^-1074."""
        return S1_BITS + 1 - (self.special >> 1) - self.fraction_bits


FORMATS = {
    np.dtype(np.float64): Format(np.dtype(np.int64), 11, 52),
    np.dtype(np.float32): Format(np.dtype(np.int32), 8, 23),
    np.dtype(np.float16): Format(np.dtype(np.int16), 5, 10),
    BFLOAT16: Format(np.dtype(np.int16), 8, 7),
}


def measure_array(array: NDArray[Any]) -> Measure:
    """Return the state after one observation per element.

    Args:
        array: One-dimensional, contiguous, native byte order; one of the ``FORMATS``, bool, or an integer of up to
            64 bits.
    """
    form = FORMATS.get(array.dtype)
    total = Measure()
    for start in range(0, array.size, BLOCK):
        block = array[start : start + BLOCK]
        total = total.merge(_integer_block(block) if form is None else _float_block(block.view(form.as_integers), form))
    return total


def _float_block(raw: NDArray[Any], form: Format) -> Measure:
    """Return the state after the floats whose bits are ``raw``: 1 to ``BLOCK`` of them."""
    bits = raw.astype(np.int64, copy=False)
    infinity = form.special << form.fraction_bits
    magnitude = bits & (infinity | (infinity - 1))
    keys = np.where(bits < 0, -magnitude, magnitude)  # sort as the values do
    nan = posinf = neginf = 0
    finite = keys
    if magnitude.max() >= infinity:
        keys = keys[magnitude <= infinity]
        nan = magnitude.size - keys.size
        posinf, neginf = (int(np.count_nonzero(keys == each)) for each in (infinity, -infinity))
        finite = keys[abs(keys) < infinity]
    if not keys.size:
        return Measure(nan=nan)
    low, high = (_value(int(key), form) for key in (keys.min(), keys.max()))
    # Extremes include infinities, sums do not: one infinity must not lose the finite part of the state.
    s1, s2 = _sums(finite, form) if finite.size else (0, 0)
    return Measure(keys.size, keys.size, s1, s2, low, high, nan, posinf, neginf)


def _sums(keys: Bits, form: Format) -> tuple[int, int]:
    """Return s1 and s2 of finite values. A key is the bits of the magnitude, negated for a negative value."""
    magnitude = abs(keys)
    exponent = magnitude >> form.fraction_bits
    power = np.maximum(exponent - 1, 0)  # subnormals have the exponent of the smallest normal numbers
    m = magnitude - (power << form.fraction_bits)  # keeps the implicit bit of a normal number
    window = power >> _WINDOW_BITS
    first = int(window.min())
    window -= first
    m <<= power & (_WINDOW - 1)
    a, b, c = m & _PIECE, (m >> _PIECE_BITS) & _PIECE, m >> 2 * _PIECE_BITS
    sign = np.sign(keys)

    def total(degree: int, parts: tuple[Bits, ...]) -> int:
        """Return the sum of the values to the power ``degree``; ``parts`` are their pieces, lowest first."""
        sums = [np.bincount(window, weights=part).tolist() for part in parts]
        return sum(
            int(in_window) << (i * _PIECE_BITS + degree * _WINDOW * w)
            for i, by_window in enumerate(sums)
            for w, in_window in enumerate(by_window)
            if in_window
        )

    s1 = total(1, (sign * a, sign * b, sign * c))
    s2 = total(2, (a * a, 2 * a * b, 2 * a * c + b * b, 2 * b * c, c * c))
    shift = form.scale + _WINDOW * first
    return s1 << shift, s2 << 2 * shift


def scalar(array: NDArray[Any]) -> float | int:
    """Return the only element of an array that :func:`measure_array` accepts; zero becomes +0.0."""
    form = FORMATS.get(array.dtype)
    if form is None:
        return int(without_bools(array)[0])
    bits = int(array.view(form.as_integers)[0])
    magnitude = bits & ((1 << (form.exponent_bits + form.fraction_bits)) - 1)
    if magnitude > form.special << form.fraction_bits:
        return float("nan")
    return _value(-magnitude if bits < 0 else magnitude, form)


def _value(key: int, form: Format) -> float:
    """Return the value of a key: the bits of the magnitude, negated for a negative value."""
    if form.fraction_bits == 52:
        return from_order(key)
    exponent, fraction = divmod(abs(key), 1 << form.fraction_bits)
    if exponent == form.special:
        return float("inf") if key > 0 else float("-inf")
    m = fraction + (1 << form.fraction_bits if exponent else 0)
    if not m:
        return 0.0
    # Exact, as a power by ** is not under every rounding mode; and a normal double, also where the value is subnormal
    # in its own format, so that no mode flushes it to zero.
    value = math.ldexp(m, form.scale - S1_BITS + max(exponent - 1, 0))
    return value if key > 0 else -value


def without_bools(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of bools as zeros and ones, and any other as it is. Any byte but 0 is true, such as 255."""
    return (array.view(np.uint8) != 0).view(np.uint8) if array.dtype == np.bool_ else array


def _integer_block(block: NDArray[Any]) -> Measure:
    """Return the state after bools or integers of up to 64 bits: 1 to ``BLOCK`` of them."""
    block = without_bools(block)
    low, high = int(block.min()), int(block.max())
    wide = block.astype(np.uint64 if block.dtype.kind == "u" else np.int64, copy=False)
    pieces = [(wide >> s & p).astype(np.int64) for s, p in ((0, 0x1FFFFF), (21, 0x1FFFFF))]  # two pieces of 21 bits
    pieces.append((wide >> 42).astype(np.int64))  # the upper 22 bits, with the sign of a signed type
    s1 = sum(int(piece.sum()) << (21 * i) for i, piece in enumerate(pieces))
    s2 = sum(int(a @ b) << 21 * (i + j) for i, a in enumerate(pieces) for j, b in enumerate(pieces))
    return Measure(block.size, block.size, s1 << S1_BITS, s2 << S2_BITS, nearest(low), nearest(high))
