"""Samplers, as functions of a denoiser, and a stream of samples that depend on the seed and their index alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.model import Denoiser, edm_sigmas
from core.diffusion.noise import Purpose, SampleNoise

Denoise = Callable[[Tensor, float], Tensor]
SAMPLES_PER_BATCH = 250


@torch.no_grad()
def heun_sampler(denoise: Denoise, noise: Tensor, sigmas: NDArray[np.float64]) -> Tensor:
    """Solve the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma by Heun's second-order method.

    N steps cost ``2 N - 1`` calls of the denoiser: the last one, to sigma = 0, is Euler's.

    Args:
        denoise: The denoiser D, called as ``denoise(x, sigma)``; see ``bind``.
        noise: Standard normal, float64, shape ``(n, ...)``.
        sigmas: Noise levels, decreasing, the last one 0; see ``edm_sigmas``.

    Returns:
        Samples, the dtype and shape of ``noise``.

    Source: arXiv:2206.00364, algorithm 1, with sigma(t) = t and s(t) = 1.
    """
    levels = sigmas.tolist()
    x: Tensor = noise * levels[0]
    for sigma, next_sigma in itertools.pairwise(levels):
        step = next_sigma - sigma
        slope = (x - denoise(x, sigma)) / sigma
        if next_sigma > 0:
            euler = x + step * slope
            slope = (slope + (euler - denoise(euler, next_sigma)) / next_sigma) / 2
        x = x + step * slope
    return x


def bind(denoiser: Denoiser, labels: Tensor | None) -> Denoise:
    """Return the denoiser as a sampler calls it: float64 in and out, float32 inside, one noise level for all."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        images = x.float()
        levels = torch.full((len(x),), sigma, dtype=images.dtype, device=x.device)
        denoised: Tensor = denoiser(images, levels, labels)
        return denoised.to(x.dtype)

    return denoise


class Samples(NamedTuple):
    """A batch of samples, on the CPU.

    Attributes:
        indices: Their indices, 0 or more, in order.
        images: float32, shape ``(n, *data_shape)``.
        labels: The classes that were asked for, int64 of shape ``(n,)``; None for data without classes.
    """

    indices: range
    images: Tensor
    labels: Tensor | None


def sample_labels(indices: range, n_classes: int) -> Tensor | None:
    """Return the classes that samples are asked for, in turn: sample i has class i mod n_classes."""
    return torch.tensor(indices) % n_classes if n_classes else None


def generate(denoiser: Denoiser, config: ModelConfig, n_samples: int, device: torch.device) -> Iterator[Samples]:
    """Yield samples in batches, so that memory does not grow with their number.

    Sample i depends on ``config.seed`` and on i alone: its noise to the bit, its values as far as the device's kernels
    give the same bits in batches of other sizes.
    """
    sigmas = edm_sigmas(config.n_steps, config.sigma_min, config.sigma_max, config.rho)
    for start in range(0, n_samples, SAMPLES_PER_BATCH):
        indices = range(start, min(start + SAMPLES_PER_BATCH, n_samples))
        labels = sample_labels(indices, denoiser.n_classes)
        noise = SampleNoise(config.seed, Purpose.SAMPLING, indices).draw(denoiser.data_shape).to(device)
        denoise = bind(denoiser, None if labels is None else labels.to(device))
        yield Samples(indices, heun_sampler(denoise, noise, sigmas).float().cpu(), labels)
