"""Noise that depends only on the seed, the purpose and the sample: not on batch size, order, device or process."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """The purpose of the noise. Each has its own stream. Results depend on these numbers: never change one."""

    SAMPLING = 0
    DENOISING = 1
    DEQUANTISATION = 2
    PROBES = 3


class SampleNoise:
    """Standard normal noise for samples with the given indices; each sample has its own generator.

    The generators are counter-based (Philox), with seed and purpose as the key and the sample's index in the counter.
    Sample 7 gets the same noise whether it is drawn first, last or alone.

    Args:
        seed: The seed, 0 to 2^64 - 1.
        purpose: What the noise is used for.
        indices: The samples' indices, 0 or more.
        variant: Selects one of several independent streams of a sample, such as one per noise level.
    """

    def __init__(self, seed: int, purpose: Purpose, indices: Sequence[int], variant: int = 0) -> None:
        key = np.array([seed, purpose], dtype=np.uint64)
        counters = (np.array([0, 0, variant, index], dtype=np.uint64) for index in indices)
        self._generators = [np.random.Generator(np.random.Philox(key=key, counter=counter)) for counter in counters]

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        """Return the next noise of each sample, float64 of shape ``(n, *shape)``, on the CPU."""
        return torch.from_numpy(np.stack([generator.standard_normal(shape) for generator in self._generators]))
