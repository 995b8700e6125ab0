"""Keeps arrays from being resized by another thread while their memory is read without the GIL."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

#: While they exist, the arrays keep their memory.
Pins: TypeAlias = list[weakref.ref[Any]]


#: NumPy releases the GIL for arrays of 500 values and more, the C++ engine for much larger ones.
FEW = 256


def pinned(values: Iterable[object], least: int = FEW) -> Pins:
    """Return weak references to each array of at least ``least`` values, and to the arrays that it is a view of.

    NumPy refuses to resize an array that has a weak reference, ``resize(..., refcheck=False)`` included. Memory that an
    array borrows from other objects, such as a bytearray, is protected by the array's own buffer export.
    """
    pins: Pins = []
    for value in values:
        owner = value if isinstance(value, np.ndarray) and value.size >= least else None
        while isinstance(owner, np.ndarray):
            pins.append(weakref.ref(owner))
            owner = owner.base
    return pins
