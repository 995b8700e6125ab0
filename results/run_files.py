"""Helpers for reading many runs: the type of a fault, and a pause of the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from core.runs.files import Fault as Fault


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause the cyclic garbage collector, which would scan the many new objects again and again while runs are read."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
