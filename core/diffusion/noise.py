"""Noise that depends on the seed, its purpose and the sample alone: not on batch size, order, device or processes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """What noise is for; two purposes share none. The numbers are part of every result: never change one."""

    SAMPLING = 0
    DENOISING = 1
    DEQUANTISATION = 2
    PROBES = 3


class SampleNoise:
    """Standard normal noise for samples with the given indices, each from a generator of its own.

    The generators are counter-based (Philox), keyed by seed and purpose and counted from the sample's index, so that
    sample 7 has its noise whether it is drawn first, last or alone.

    Args:
        seed: The seed, 0 to 2^64 - 1.
        purpose: What the noise is for.
        indices: The samples' indices, 0 or more.
        variant: Tells apart several noises of one sample, such as those at several noise levels.
    """

    def __init__(self, seed: int, purpose: Purpose, indices: Sequence[int], variant: int = 0) -> None:
        key = np.array([seed, purpose], dtype=np.uint64)
        counters = (np.array([0, 0, variant, index], dtype=np.uint64) for index in indices)
        self._generators = [np.random.Generator(np.random.Philox(key=key, counter=counter)) for counter in counters]

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        """Return the samples' next noise, float64 of shape ``(n, *shape)``, on the CPU."""
        return torch.from_numpy(np.stack([generator.standard_normal(shape) for generator in self._generators]))
