"""Order, hexadecimal text and exact parts of a double, computed from its bits in integer arithmetic.

Some libraries switch the processor to flush-to-zero and denormals-are-zero for the whole process. Floating-point
comparison, printing and scaling then treat a subnormal number as zero. Integer arithmetic on the bits does not.
"""

import re
import struct
from math import isnan

_DOUBLE = struct.Struct("<d")
_INT64 = struct.Struct("<q")
_SUBNORMAL = re.compile(r"(-?)0x0\.([0-9a-f]{13})p-1022")

SIGN = 1 << 63
FRACTION_BITS = 52
FRACTION = (1 << FRACTION_BITS) - 1


def order(x: float) -> int:
    """Return an integer that sorts as the double does; both zeros give 0. ``x`` must not be NaN."""
    # Bits of positive doubles sort as the doubles do; those of negative ones sort backwards and are mirrored.
    bits: int = _INT64.unpack(_DOUBLE.pack(x))[0]
    return bits if bits >= 0 else -(bits + SIGN)


def from_order(key: int) -> float:
    """Return the double whose :func:`order` is ``key``; 0 gives +0.0."""
    bits = key if key >= 0 else -key - SIGN
    value: float = _DOUBLE.unpack(_INT64.pack(bits))[0]
    return value


def parts(x: float) -> tuple[int, int]:
    """Return integers (m, e) with ``x == m * 2**(e - 1074)`` exactly and e >= 0. ``x`` must be finite."""
    key = order(x)
    exponent, fraction = divmod(abs(key), FRACTION + 1)
    m = fraction + (FRACTION + 1) if exponent else fraction
    return (m if key >= 0 else -m), max(exponent - 1, 0)


def nearest(x: int) -> float:
    """Return the double nearest to the integer ``x``: ties go to even, and beyond the range it is ±inf."""
    try:
        return float(x)
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def to_hex(x: float) -> str:
    """Return ``float.hex(x)``, correct for subnormals in every floating-point mode."""
    key = order(x)
    if 0 < abs(key) <= FRACTION:
        return f"{'-' if key < 0 else ''}0x0.{abs(key):013x}p-1022"
    return x.hex()


def from_hex(text: str) -> float:
    """Return the double that :func:`to_hex` wrote as ``text``.

    Raises:
        ValueError: ``text`` is not what :func:`to_hex` writes, for any double.
    """
    # Not by float.fromhex: it scales in floating point, where a flush-to-zero mode gives 0.
    if match := _SUBNORMAL.fullmatch(text):
        key = int(match[2], 16)
        value = from_order(-key if match[1] else key)
    else:
        try:
            value = float.fromhex(text)
        except OverflowError:
            value = float("nan")
    # One text per value: states that are equal must be equal as text.
    if isnan(value) or to_hex(value) != text:
        raise ValueError(f"{text!r} is not a float in the form of float.hex")
    return value
