"""Samplers, and ``generate``: samples that depend only on the seed and their index."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.batch_size import batch_size_for
from core.diffusion.meanflow import meanflow_sampler
from core.diffusion.model import HIDDEN, Denoiser
from core.diffusion.noise import Purpose, SampleNoise
from core.diffusion.schedules import Denoise, schedule_of, schedule_protocol
from core.utils.results import Scalar

SAMPLES_PER_BATCH = 250


@torch.no_grad()
def euler_sampler(denoise: Denoise, noise: Tensor, sigmas: NDArray[np.float64]) -> Tensor:
    """Solve the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma by Euler's first-order method.

    The ODE along the flow schedule is the same, with t in place of sigma: see ``core.diffusion.schedules``. N steps
    cost N calls of the denoiser. See ``heun_sampler`` for the arguments and the result.
    """
    levels = sigmas.tolist()
    x: Tensor = noise * levels[0]  # (n, ...)
    for sigma, next_sigma in itertools.pairwise(levels):
        x = x + (next_sigma - sigma) * (x - denoise(x, sigma)) / sigma
    return x


@torch.no_grad()
def heun_sampler(denoise: Denoise, noise: Tensor, sigmas: NDArray[np.float64]) -> Tensor:
    """Solve the probability-flow ODE by Heun's second-order method.

    N steps cost ``2 N - 1`` calls of the denoiser, because the last step, to sigma = 0, is an Euler step.

    Args:
        denoise: The denoiser D, called as ``denoise(x, sigma)``. See ``bind``.
        noise: Standard normal, float64, shape ``(n, ...)``.
        sigmas: Noise levels, shape ``(N + 1,)``, decreasing, the last one 0. See ``edm_sigmas``.

    Returns:
        Samples, float64 with the shape of ``noise``.

    Source: arXiv:2206.00364, algorithm 1, with sigma(t) = t and s(t) = 1.
    """
    levels = sigmas.tolist()
    x: Tensor = noise * levels[0]  # (n, ...)
    for sigma, next_sigma in itertools.pairwise(levels):
        x = _heun_step(denoise, x, sigma, next_sigma)
    return x


@torch.no_grad()
def stochastic_sampler(
    denoise: Denoise,
    draw: Callable[[], Tensor],
    sigmas: NDArray[np.float64],
    *,
    s_churn: float = 40.0,
    s_min: float = 0.05,
    s_max: float = 50.0,
    s_noise: float = 1.003,
) -> Tensor:
    """Solve the ODE by Heun's method, adding noise before each step to correct errors of earlier steps.

    Args:
        denoise: As for ``heun_sampler``.
        draw: Returns the next standard normal noise, float64 of shape ``(n, ...)``.
        sigmas: As for ``heun_sampler``.
        s_churn: Amount of noise over all steps. With 0 the result equals that of ``heun_sampler``.
        s_min: Smallest noise level at which noise is added.
        s_max: Largest noise level at which noise is added.
        s_noise: Standard deviation of the added noise; slightly above 1 because denoisers remove too much noise.

    Returns:
        Samples, float64 of shape ``(n, ...)``.

    Source: arXiv:2206.00364, algorithm 2; the defaults are those of table 5 for ImageNet-64.
    """
    levels = sigmas.tolist()
    most = min(s_churn / (len(levels) - 1), math.sqrt(2) - 1)  # the bound keeps the added noise below that present
    x: Tensor = draw() * levels[0]  # (n, ...)
    for sigma, next_sigma in itertools.pairwise(levels):
        # Algorithm 2, lines 5 and 6. Noise is drawn also where none is added, so that s_min and s_max do not change
        # which noise a later step gets.
        raised = sigma * (1 + (most if s_min <= sigma <= s_max else 0.0))
        x = x + math.sqrt(raised**2 - sigma**2) * s_noise * draw()
        x = _heun_step(denoise, x, raised, next_sigma)
    return x


def _heun_step(denoise: Denoise, x: Tensor, sigma: float, next_sigma: float) -> Tensor:
    """Return x after one step from sigma to next_sigma: arXiv:2206.00364, algorithm 1, lines 4 to 8."""
    step = next_sigma - sigma
    slope = (x - denoise(x, sigma)) / sigma
    if next_sigma > 0:  # at 0 the slope is not defined, so the last step stays an Euler step
        euler = x + step * slope
        slope = (slope + (euler - denoise(euler, next_sigma)) / next_sigma) / 2
    return x + step * slope


def bind(denoiser: Denoiser, labels: Tensor | None, guidance: float = 1.0) -> Denoise:
    """Return the denoiser in the form that samplers call: float64 in and out, one noise level for all images.

    The network itself works in float32.

    Args:
        denoiser: The model.
        labels: Classes of the images, int64 of shape ``(n,)``, or None.
        guidance: Scale s of D(x | hidden) + s (D(x | label) - D(x | hidden)). 1 is no guidance; other values need
            labels, and a model trained with label dropout.

    Source: Ho & Salimans 2022, "Classifier-Free Diffusion Guidance", arXiv:2207.12598, eq. 6, with s = 1 + w. Scores
    and velocities are linear in the denoiser, so that the same formula holds for them.
    """

    def denoise(x: Tensor, sigma: float) -> Tensor:
        # Only the network is in float32: as in EDM's own code, the steps add up in float64.
        images = x.float()
        levels = torch.full((len(x),), sigma, dtype=images.dtype, device=x.device)  # (n,)
        denoised: Tensor = denoiser(images, levels, labels)
        if guidance != 1 and labels is not None:
            unguided = denoiser(images, levels, torch.full_like(labels, HIDDEN))
            denoised = unguided + guidance * (denoised - unguided)
        return denoised.to(x.dtype)

    return denoise


class Samples(NamedTuple):
    """A batch of samples, on the CPU.

    Attributes:
        indices: Their indices, in increasing order.
        images: float32, shape ``(n, *data_shape)``.
        labels: The requested classes, int64 of shape ``(n,)``; None for data without classes.
    """

    indices: range
    images: Tensor
    labels: Tensor | None


def sample_labels(indices: range, n_classes: int) -> Tensor | None:
    """Return the requested class of each sample, int64 of shape ``(n,)``: sample i gets class i mod n_classes."""
    return torch.tensor(indices) % n_classes if n_classes else None


def sample(denoise: Denoise, draw: Callable[[], Tensor], config: ModelConfig) -> Tensor:
    """Sample with the config's sampler and number of steps; any sampler but MeanFlow's. See ``sample_batch``.

    Args:
        denoise: The denoiser; see ``bind``.
        draw: Returns standard normal noise, float64 of shape ``(n, ...)``.
        config: The run's config.

    Returns:
        Samples, float64 of shape ``(n, ...)``.
    """
    # The stochastic sampler needs new noise in each step; the others solve an ODE, and need only the initial noise.
    schedule = schedule_of(config)
    times, denoise = schedule.times(config), schedule.along(denoise)
    if config.sampler == "stochastic":
        return stochastic_sampler(denoise, draw, times, **_churn(config))
    sampler = {"heun": heun_sampler, "euler": euler_sampler}[config.sampler]
    return sampler(denoise, draw(), times)


def sample_batch(denoiser: Denoiser, labels: Tensor | None, draw: Callable[[], Tensor], config: ModelConfig) -> Tensor:
    """Sample from a model with the config's sampler, number of steps and guidance.

    Args:
        denoiser: The model.
        labels: Classes of the samples, int64 of shape ``(n,)``, or None.
        draw: As for ``sample``.
        config: As for ``sample``.

    Returns:
        Samples, float64 of shape ``(n, ...)``.
    """
    if config.sampler == "meanflow":
        return meanflow_sampler(denoiser.average_velocity, draw(), schedule_of(config).times(config), labels)
    return sample(bind(denoiser, labels, config.guidance), draw, config)


def sampler_protocol(config: ModelConfig) -> dict[str, Scalar]:
    """Return what a protocol says of the sampler: its name, schedule and own settings, and the guidance if any."""
    guidance = {"guidance": config.guidance} if config.guidance != 1 else {}
    return {"sampler": config.sampler, **schedule_protocol(config), **_churn(config), **guidance}


def _churn(config: ModelConfig) -> dict[str, float]:
    """Return the settings of the stochastic sampler; empty for other samplers."""
    names = ("s_churn", "s_min", "s_max", "s_noise") if config.sampler == "stochastic" else ()
    return {name: getattr(config, name) for name in names}


def generate(
    denoiser: Denoiser, config: ModelConfig, n_samples: int, device: torch.device, start: int = 0
) -> Iterator[Samples]:
    """Yield samples in batches, so that memory does not grow with their number.

    The noise of sample i depends only on ``config.seed`` and i, to the bit. Its pixels may differ in the last bits
    between devices and batch sizes, because the network's kernels do. A batch has 250 samples, or as many as the free
    memory allows.

    Args:
        denoiser: The model, in eval mode on the device.
        config: The run's config: seed, sampler, n_steps and noise levels.
        n_samples: Number of samples, those before ``start`` included.
        device: Device of the model.
        start: Index of the first sample to make.
    """
    at_once = batch_size_for(denoiser, functools.partial(_denoise_one, denoiser, device), device, SAMPLES_PER_BATCH)
    for first in range(start, n_samples, at_once):
        indices = range(first, min(first + at_once, n_samples))
        labels = sample_labels(indices, denoiser.n_classes)
        draw = functools.partial(_draw, SampleNoise(config.seed, Purpose.SAMPLING, indices), denoiser, device)
        images = sample_batch(denoiser, None if labels is None else labels.to(device), draw, config)
        yield Samples(indices, images.float().cpu(), labels)


def _denoise_one(denoiser: Denoiser, device: torch.device) -> None:
    label = torch.zeros(1, dtype=torch.int64, device=device) if denoiser.n_classes else None
    bind(denoiser, label)(torch.zeros(1, *denoiser.data_shape, dtype=torch.float64, device=device), 1.0)


def _draw(noise: SampleNoise, denoiser: Denoiser, device: torch.device) -> Tensor:
    # Drawn on the CPU and copied: the generators of a GPU give other bits.
    return noise.draw(denoiser.data_shape).to(device)  # (n, *data_shape)
