"""What the fields of the result classes accept: converters and validators with one wording of refusals."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

Scalar = str | int | float | bool | None


class UnsavableError(TypeError, ValueError):
    """A value that would make a result impossible to save; the message says what to write instead.

    It is both a TypeError and a ValueError, because the same field may have a wrong type (a number as a name) or a
    wrong value (an empty name).
    """


def protocol_pairs(value: object) -> tuple[tuple[str, Scalar], ...]:
    """Sort a mapping, or pairs, into hashable pairs; refuse values whose equality is not certain, such as NaN."""
    if not isinstance(value, Mapping | Iterable) or isinstance(value, str | bytes):
        raise UnsavableError(
            f"protocol: got {value!r} ({type(value).__name__}); accepted: a mapping of names to scalars"
        )
    pairs = [tuple(pair) for pair in (value.items() if isinstance(value, Mapping) else value)]
    for index, pair in enumerate(pairs):
        if len(pair) != 2 or not isinstance(pair[0], str):
            raise UnsavableError(f"protocol: got the entry {pair!r}; accepted: a name and a scalar")
        if getattr(pair[1], "ndim", None) == 0:  # a scalar of NumPy or torch
            pairs[index] = pair = (pair[0], pair[1].item())
        for part in pair:
            _check_utf8("protocol", part)
        if pair[1] is not None and not isinstance(pair[1], str | int | float | bool):
            raise UnsavableError(
                f"protocol: {pair[0]}: got a {type(pair[1]).__name__}; accepted: str, int, float, bool, None"
            )
        if isinstance(pair[1], float) and not math.isfinite(pair[1]):
            raise UnsavableError(f"protocol: {pair[0]}: got {pair[1]!r}; accepted: a finite number")
    if len({pair[0] for pair in pairs}) < len(pairs):
        raise UnsavableError(f"protocol: a name came twice in {pairs!r}")
    return tuple(sorted(pairs))


def _check_utf8(name: str, value: object) -> None:
    """Refuse a lone surrogate (half of a surrogate pair), which UTF-8 files cannot hold."""
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise UnsavableError(f"{name}: got {value!r}; accepted: a text that UTF-8 can hold ({error.reason})") from None


def _where(name: str) -> str:
    return f"{name}: " if name else ""


def count(value: Any, name: str = "") -> int:
    """Take an integer of any kind, NumPy's too, from 0 up. ``name`` is that of the field, for the message."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < 0:
        raise UnsavableError(f"{_where(name)}got {value!r} ({type(value).__name__}); accepted: an integer from 0 up")
    return operator.index(value)


def count_or_none(value: Any, name: str = "") -> int | None:
    """Take what ``count`` takes, or None."""
    return None if value is None else count(value, name)


def integer_or_none(value: Any, name: str = "") -> int | None:
    """Take an integer of any kind, negative ones too, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UnsavableError(f"{_where(name)}got {value!r} ({type(value).__name__}); accepted: an integer or None")
    return operator.index(value)


def real(value: Any, name: str = "") -> float:
    """Take anything that converts to a float, but no text, bool or None."""
    refused = isinstance(value, str | bytes | bool) or value is None
    if not refused:
        try:
            return float(value)
        except OverflowError:
            raise UnsavableError(
                f"{_where(name)}got an integer beyond the range of a float64; accepted: a number"
            ) from None
        except (TypeError, ValueError):  # a complex number, an array of several
            pass
    raise UnsavableError(f"{_where(name)}got {value!r} ({type(value).__name__}); accepted: a real number")


# A converter does not know its field, so these leave what they cannot convert to the validator, which names the field.


def as_integer(value: Any) -> Any:
    """Return an integer of any kind, NumPy's too, as an int, and everything else as it is."""
    return value if isinstance(value, bool) or not hasattr(value, "__index__") else operator.index(value)


def as_float(value: Any) -> Any:
    """Return what ``real`` takes as a float, and everything else as it is."""
    try:
        return real(value)
    except (TypeError, ValueError):
        return value


def is_count(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate a field that takes what ``count`` takes."""
    count(value, attribute.name)


def is_count_or_none(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate a field that takes what ``count_or_none`` takes."""
    count_or_none(value, attribute.name)


def is_integer_or_none(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate a field that takes what ``integer_or_none`` takes."""
    integer_or_none(value, attribute.name)


def is_real(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate a field that takes what ``real`` takes."""
    real(value, attribute.name)


def one_of(*accepted: str) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """Return a validator of a field that takes one of a few words."""

    def check(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or value not in accepted:
            raise UnsavableError(f"{attribute.name}: got {value!r}; accepted: {', '.join(map(repr, accepted))}")

    return check


def instance(write: str, *classes: type) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """Return a validator of a field that takes instances of ``classes``; its message says what to ``write`` instead."""
    names = " or ".join("None" if cls is type(None) else cls.__name__ for cls in classes)

    def check(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, classes):
            raise UnsavableError(
                f"{attribute.name}: got {value!r} ({type(value).__name__}); accepted: {names}. Try: {write}"
            )

    return check


def text(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate a field that takes a text which is not blank."""
    if not isinstance(value, str):
        raise UnsavableError(
            f"{attribute.name}: got {value!r} ({type(value).__name__}); accepted: a text, such as 'loss'"
        )
    if not value.strip():
        raise UnsavableError(f"{attribute.name}: got {value!r}; accepted: a text that is not blank, such as 'loss'")
    _check_utf8(attribute.name, value)


def true_false_or_none(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate a field that takes a bool or None."""
    if value is not None and not isinstance(value, bool):
        raise UnsavableError(
            f"{attribute.name}: got {value!r} ({type(value).__name__}); accepted: True, False, or None if unknown"
        )
