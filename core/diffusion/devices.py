"""Choose the device and the number of CPU threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from core.config.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device named ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; auto takes a GPU if there is one.

    Raises:
        ConfigError: The name is not accepted, or the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    accepted = "accepted: auto, cpu, cuda or cuda:N"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: got {name!r}; {accepted}.") from None
    if device.type not in {"cpu", "cuda"}:
        raise ConfigError(f"device: got {name!r}; {accepted}.")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise ConfigError(f"device: got {name!r}, but torch sees {n_gpus} GPUs here. Try: auto.")
    return device


def use_threads(n_threads: int | None) -> None:
    """Let PyTorch use this number of CPU threads in this process; None leaves its own choice."""
    if n_threads is not None:
        torch.set_num_threads(n_threads)


@contextlib.contextmanager
def advice_on_memory(advice: str) -> Iterator[None]:
    """Add ``advice`` to the error if the block needs more memory than the GPU has."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        error.add_note(advice)
        raise
