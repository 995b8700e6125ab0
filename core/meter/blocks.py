"""Blocks: reads a large array of any layout in contiguous pieces, so that it is never copied as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.meter.exact import BFLOAT16

BLOCK_SIZE = 1 << 16  #: Values per block: half a megabyte of float64, which stays in the L2 cache.


class Blocks:
    """The values of an array as flat, aligned arrays in native byte order, of at most ``BLOCK_SIZE`` values each.

    Each array is valid until the next one is taken.

    Args:
        array: Any layout and byte order; a dtype that the meter accepts.
        keeps_order: Whether the values come in C order. Otherwise they come in the order of memory, which is faster.
    """

    __slots__ = ("_array", "_keeps_order", "shape")

    def __init__(self, array: NDArray[Any], *, keeps_order: bool) -> None:
        self._array = array
        self._keeps_order = keeps_order
        self.shape = array.shape

    def __iter__(self) -> Iterator[NDArray[Any]]:
        native = native_dtype(self._array)
        if self._keeps_order:  # in blocks of exactly BLOCK_SIZE, so that those of two arrays match
            values = self._array.flat
            for start in range(0, self._array.size, BLOCK_SIZE):
                yield np.require(values[start : start + BLOCK_SIZE], native, ["C", "A"])
            return
        yield from np.nditer(  # type: ignore[call-overload]  # the stub misspells the flag "contig"
            self._array,
            flags=["buffered", "external_loop"],
            op_flags=[["readonly", "aligned", "contig", "nbo"]],
            op_dtypes=[native],
            order="K",
            buffersize=BLOCK_SIZE,
        )

    def reader(self) -> Callable[[], NDArray[Any] | None]:
        """Return a function that returns the next array, or None after the last."""
        return partial(next, iter(self), None)

    def copy(self) -> NDArray[Any]:
        """Return all values in one array."""
        return np.concatenate([block.copy() for block in self])


def native_dtype(array: NDArray[Any]) -> np.dtype[Any]:
    """Return the array's dtype in native byte order."""
    return array.dtype if array.dtype == BFLOAT16 else array.dtype.newbyteorder("=")


def flat(array: NDArray[Any], *, keeps_order: bool) -> NDArray[Any] | Blocks:
    """Return an array as a flat one, aligned and in native byte order, without a copy if it is one or is large."""
    is_flat = array.flags.c_contiguous or (array.flags.f_contiguous and not keeps_order)
    if array.size <= BLOCK_SIZE or (is_flat and array.flags.aligned and array.dtype.isnative):
        return np.require(array.ravel(order="C" if keeps_order else "K"), native_dtype(array), ["C", "A"])
    return Blocks(array, keeps_order=keeps_order)
