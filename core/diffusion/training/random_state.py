"""The global random generators of Python, NumPy and torch: seed, save and restore them."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

States = dict[str, Any]


def random_states(device: torch.device) -> States:
    """Return the states of the generators as tensors and plain numbers, which load without running code."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    states: States = {
        "python": [version, torch.tensor(words), gauss],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, float(cached)],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: States, device: torch.device) -> None:
    """Set the generators to states that ``random_states`` returned.

    The state of a GPU generator is set only if it was saved and the device is a GPU.
    """
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    cuda: Tensor | None = states.get("cuda")
    if cuda is not None and device.type == "cuda":
        torch.cuda.set_rng_state(cuda, device)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators for the block and restore the caller's states after it.

    Layers draw initial weights and dropout from torch's global generator; a data set may use NumPy's or Python's.
    """
    before = random_states(device)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_random_states(before, device)


@contextlib.contextmanager
def draws_of_step(seed: int, step: int, rank: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators from the arguments for the block, and then restore those of torch.

    The model and the data set draw in the block: dropout, random crops. They draw for the images of one process only.
    The order of the images and their noise are drawn outside of it, and stay the same for any number of processes.

    Args:
        seed: The run's seed.
        step: Training steps done.
        rank: Number of the process, from 0: the draws of two processes must not be the same.
        device: Device of the training; a GPU has a generator of its own.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    before = [generator.get_state() for generator in generators]
    key = int.from_bytes(hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=4).digest(), "little")
    random.seed(key)
    np.random.seed(key)
    for generator in generators:
        generator.manual_seed(key)
    try:
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)
