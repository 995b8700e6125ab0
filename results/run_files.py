"""Reading many runs: what could not be read, and a pause of the garbage collector meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from core.runs.files import Fault as Fault


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause the cyclic garbage collector while many small objects are made: it would look at all of them repeatedly."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
