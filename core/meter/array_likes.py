"""Converts objects of other libraries to NumPy arrays or tensors, without rounding."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from core.meter.refusals import kind, refusal

_ROUNDS_FROM = 2**53  #: Beyond this magnitude, float64 cannot hold every integer.
_INTEGER_DTYPE = re.compile(r"u?int\d+\b", re.IGNORECASE)
_HOW_TO_KEEP_INTEGERS = (
    "drop the nulls, as by x.dropna(), x.drop_nulls() or x.drop_null(), or pass each column as a measure of its own"
)
_CPU = 1  # kDLCPU of the DLPack standard
_FAILURES = (TypeError, ValueError, RuntimeError, BufferError)


def is_array_like(value: object) -> bool:
    """Return whether a value offers to be converted: by ``__array__``, or by the DLPack protocol."""
    return not isinstance(value, type) and (hasattr(value, "__array__") or hasattr(value, "__dlpack__"))


def convert(name: str, value: Any) -> Any:
    """Return a value as a NumPy array or a tensor with the same numbers.

    Args:
        name: The measure, for error messages.
        value: An object for which :func:`is_array_like` is true.

    Raises:
        TypeError: The value does not convert, or its integers would be rounded on the way.
    """
    fault: Exception = TypeError("it has no __array__")
    if hasattr(value, "__array__"):
        try:
            converted = np.asarray(value)
        except _FAILURES as failure:  # such as an array on a device, which must be copied by the caller or by DLPack
            fault = failure
        else:
            _check_integers(name, value, converted)
            return converted
    if hasattr(value, "__dlpack__"):
        try:
            return _from_dlpack(value)
        except _FAILURES as failure:
            fault = failure
    raise refusal(name, kind(value), f"it does not convert to a NumPy array: {fault}") from fault


def _from_dlpack(value: Any) -> Any:
    device = value.__dlpack_device__()[0]
    torch = sys.modules.get("torch")
    if device == _CPU:
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError):  # a dtype that NumPy does not have, such as bfloat16
            if torch is None:
                raise
    if torch is None:
        raise TypeError("it is on a device; import torch first, or copy it to the host")
    return torch.from_dlpack(value)


def _check_integers(name: str, value: Any, converted: np.ndarray[Any, Any]) -> None:
    """Raise TypeError if nulls, or columns of floats, may have made float64 of integers that it cannot hold."""
    if converted.dtype.kind not in "fO" or not any(map(_INTEGER_DTYPE.match, _dtypes(value))):
        return
    # Any integer that was rounded is now a float of at least 2**53.
    if converted.dtype.kind == "f" and not np.any(np.abs(converted[np.isfinite(converted)]) >= _ROUNDS_FROM):
        return
    became = "objects" if converted.dtype.kind == "O" else "float64, which rounds integers of 2**53 and more"
    raise refusal(name, f"{kind(value)} of integers that convert to {became}", _HOW_TO_KEEP_INTEGERS)


def _dtypes(value: Any) -> Iterator[str]:
    """Yield the dtypes of a column or data frame of pandas, Polars or Arrow as text."""
    for single in ("dtype", "type"):
        if (found := getattr(value, single, None)) is not None:
            yield str(found)
    several = getattr(value, "dtypes", None)  # of a data frame
    if several is None:
        several = getattr(getattr(value, "schema", None), "types", None)  # of an Arrow table
    if isinstance(several, Iterable):
        yield from map(str, several)
