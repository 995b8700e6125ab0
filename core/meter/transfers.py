"""Transfers: updates whose values are on their way from a CUDA device to the host."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from core.meter.inputs import OnDevice, Standard

if TYPE_CHECKING:
    import torch

Fold = Callable[..., None]

MOST_BYTES = 64 << 20  #: In flight at once; beyond it an update waits for the oldest.


class Event(Protocol):
    """What tells that a copy has arrived; ``torch.cuda.Event`` is one."""

    def query(self) -> bool:
        """Say whether all work before the event is done."""

    def synchronize(self) -> None:
        """Wait for it."""


class Arriving(NamedTuple):
    """Pinned memory that a copy is on its way to, and the event that follows it."""

    host: torch.Tensor
    event: Event


class Transfer(NamedTuple):
    """One update under way."""

    values: dict[str, Standard | Arriving]
    n: int
    n_bytes: int

    def is_done(self) -> bool:
        """Say whether all its values have arrived."""
        return all(value.event.query() for value in self.values.values() if isinstance(value, Arriving))

    def wait(self) -> None:
        """Wait until they have."""
        for value in self.values.values():
            if isinstance(value, Arriving):
                value.event.synchronize()

    def land(self, fold: Fold) -> None:
        """Fold the values in; they have arrived."""
        values = {name: value.host if isinstance(value, Arriving) else value for name, value in self.values.items()}
        fold(values, n=self.n)


class Transfers:
    """The updates in flight, oldest first. An update lands whole: all its measures, or none and an error later.

    ``fold`` is an engine's ``update``. It is never kept: engine and transfers would hold each other alive.
    """

    __slots__ = ("_bytes", "_faults", "_lock", "_queue")

    def __init__(self) -> None:
        self._queue: deque[Transfer] = deque()
        self._bytes = 0
        self._faults: deque[Exception] = deque()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._queue)

    def start(self, values: dict[str, Standard], n: int, fold: Fold) -> None:
        """Start an update's copies, land those that have arrived, and wait only where too much is in flight."""
        copies: dict[str, Standard | Arriving] = {}
        n_bytes = 0
        for name, value in values.items():
            if isinstance(value, OnDevice):
                copies[name] = copy_to_host(value.tensor)
                n_bytes += value.tensor.numel() * value.tensor.element_size()
            else:  # the caller may overwrite its array before this update lands
                copies[name] = value.copy() if isinstance(value, np.ndarray) else value
        with self._lock:
            self._queue.append(Transfer(copies, n, n_bytes))
            self._bytes += n_bytes
            while self._queue and (self._bytes > MOST_BYTES or self._queue[0].is_done()):
                try:
                    self._land_oldest(fold)
                except ValueError as fault:  # a NaN under nan_policy="raise", which the next read-out reports
                    self._faults.append(fault)

    def finish(self, fold: Fold) -> None:
        """Wait for everything and fold it in.

        Raises:
            ValueError: An update held a NaN that its meter refuses. It was dropped whole; a further call goes on
                with the rest.
        """
        if not (self._queue or self._faults or self._bytes):
            return
        with self._lock:
            if self._faults:
                raise self._faults.popleft()
            while self._queue:
                self._land_oldest(fold)

    def clear(self) -> None:
        """Drop whatever is in flight, and the errors not yet reported."""
        with self._lock:
            self._queue.clear()
            self._faults.clear()
            self._bytes = 0

    def _land_oldest(self, fold: Fold) -> None:
        transfer = self._queue[0]
        transfer.wait()
        self._queue.popleft()
        try:
            transfer.land(fold)
        finally:
            self._bytes -= transfer.n_bytes  # last: until then a reader does not take the queue for empty


def copy_to_host(tensor: torch.Tensor) -> Arriving:
    """Start a copy to pinned memory on the tensor's device's current stream and return at once."""
    import torch

    with torch.cuda.device(tensor.device):
        stream = torch.cuda.current_stream()
        source = tensor.contiguous()
        host = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
        host.copy_(source, non_blocking=True)
        source.record_stream(stream)  # its memory is not to be used again before the copy is done
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(stream)
    return Arriving(host, event)
