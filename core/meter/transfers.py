"""Transfers: updates whose values are being copied from a CUDA device to the host."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from core.meter.blocks import Blocks
from core.meter.inputs import OnDevice, Standard
from core.meter.locks import new_lock

if TYPE_CHECKING:
    import torch

Fold = Callable[..., None]

_CREATING = new_lock()

MOST_BYTES = 64 << 20  #: The most bytes in flight; beyond that an update waits for the oldest copy.


class Event(Protocol):
    """Tells whether a copy is complete, as ``torch.cuda.Event`` does."""

    def query(self) -> bool:
        """Return whether all work before the event is done."""

    def synchronize(self) -> None:
        """Wait until it is."""


class Arriving(NamedTuple):
    """The pinned memory that a copy writes to, and the event that follows the copy."""

    host: torch.Tensor
    event: Event


class Transfer(NamedTuple):
    """One update in flight."""

    values: dict[str, Standard | Arriving]
    n: int
    n_bytes: int

    def is_done(self) -> bool:
        """Return whether all of its values have arrived."""
        return all(value.event.query() for value in self.values.values() if isinstance(value, Arriving))

    def wait(self) -> None:
        """Wait until all of its values have arrived."""
        for value in self.values.values():
            if isinstance(value, Arriving):
                value.event.synchronize()

    def land(self, fold: Fold) -> None:
        """Add the values, which have arrived, by calling ``fold``."""
        values = {name: value.host if isinstance(value, Arriving) else value for name, value in self.values.items()}
        fold(values, n=self.n)


class NoTransfers:
    """Stands for the transfers of a meter that never had any: :class:`Transfers` takes 1.3 KB."""

    __slots__ = ()

    def __len__(self) -> int:
        return 0

    def finish(self, fold: Fold) -> None:
        """Do nothing: there is nothing in flight."""

    def clear(self) -> None:
        """Do nothing."""


NO_TRANSFERS = NoTransfers()


class Transfers:
    """The updates in flight, oldest first. An update is added to all of its measures, or to none and an error follows.

    ``fold`` is an engine's ``update``. It is passed in and never stored, which would make a reference cycle.
    """

    __slots__ = ("_bytes", "_faults", "_lock", "_queue")

    def __init__(self) -> None:
        self._queue: deque[Transfer] = deque()
        self._bytes = 0
        self._faults: deque[Exception] = deque()
        self._lock: threading.RLock | None = None  # made by the first copy: most meters need none

    def __len__(self) -> int:
        return len(self._queue)

    def start(self, values: dict[str, Standard], n: int, fold: Fold) -> None:
        """Start an update's copies and add earlier updates that have arrived; wait only if too much is in flight."""
        copies: dict[str, Standard | Arriving] = {}
        n_bytes = 0
        for name, value in values.items():
            if isinstance(value, OnDevice):
                copies[name] = copy_to_host(value.tensor)
                n_bytes += value.tensor.numel() * value.tensor.element_size()
            else:  # the caller may overwrite the array before this update is added
                copies[name] = value.copy() if isinstance(value, np.ndarray | Blocks) else value
        with self._locked():
            self._queue.append(Transfer(copies, n, n_bytes))
            self._bytes += n_bytes
            while self._queue and (self._bytes > MOST_BYTES or self._queue[0].is_done()):
                try:
                    self._land_oldest(fold)
                except ValueError as fault:  # a NaN under nan_policy="raise"; the next read-out raises it
                    self._faults.append(fault)

    def finish(self, fold: Fold) -> None:
        """Wait for all updates in flight and add them.

        Raises:
            ValueError: An update had a NaN under ``nan_policy="raise"``. None of its values were added. The next
                call continues with the remaining updates.
        """
        if not (self._queue or self._faults or self._bytes):
            return
        with self._locked():
            if self._faults:
                raise self._faults.popleft()
            while self._queue:
                self._land_oldest(fold)

    def clear(self) -> None:
        """Drop all updates in flight, and the errors that have not been raised yet."""
        with self._locked():
            self._queue.clear()
            self._faults.clear()
            self._bytes = 0

    def _locked(self) -> threading.RLock:
        """Return the lock of this queue."""
        if self._lock is None:
            with _CREATING:
                if self._lock is None:
                    self._lock = new_lock()
        return self._lock

    def _land_oldest(self, fold: Fold) -> None:
        transfer = self._queue[0]
        transfer.wait()
        # Removed before it is added: an update that is refused must not be tried again.
        self._queue.popleft()
        try:
            transfer.land(fold)
        finally:
            self._bytes -= transfer.n_bytes  # last, so that finish() of another thread does not return early


def copy_to_host(tensor: torch.Tensor) -> Arriving:
    """Start a copy to pinned memory on the current stream of the tensor's device; do not wait for it."""
    import torch

    with torch.cuda.device(tensor.device):
        stream = torch.cuda.current_stream()
        source = tensor.contiguous()
        # A copy to memory that is not pinned would make the host wait.
        host = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
        host.copy_(source, non_blocking=True)
        source.record_stream(stream)  # keeps the memory from being reused before the copy is done
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(stream)
    return Arriving(host, event)
