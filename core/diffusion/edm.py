"""The formulas of EDM: preconditioning, weights and distribution of noise levels, and the sampler's levels.

Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
arXiv:2206.00364, table 1, column "Ours (EDM)".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Scalings(NamedTuple):
    """The factors of a denoiser D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), each with the shape of sigma."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


def edm_scalings(sigma: Tensor, sigma_data: float) -> Scalings:
    """Return the factors that give the network's input and target unit variance.

    Args:
        sigma: Noise levels, positive, in data units.
        sigma_data: Root mean square of the data, same units; EDM takes the standard deviation of centred data.

    Source: arXiv:2206.00364, table 1, "Network and preconditioning".
    """
    variance = sigma**2 + sigma_data**2
    return Scalings(  # derived in appendix B.6: c_in and c_out give unit variance, c_skip makes c_out smallest
        c_skip=sigma_data**2 / variance,
        c_out=sigma * sigma_data / variance.sqrt(),
        c_in=1 / variance.sqrt(),
        c_noise=sigma.log() / 4,
    )


def loss_weight(sigma: Tensor, sigma_data: float) -> Tensor:
    """Return lambda(sigma) = 1 / c_out², which makes the expected loss of a network that returns 0 equal to 1 at every
    level if ``sigma_data`` is the root mean square of the data.

    Source: arXiv:2206.00364, table 1, "Training".
    """
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def min_snr_weight(sigma: Tensor, gamma: float) -> Tensor:
    """Return min(SNR, gamma), with the signal-to-noise ratio SNR = 1 / sigma²: large weights are cut off.

    Args:
        sigma: Noise levels, positive, in data units.
        gamma: Largest weight; the paper takes 5.

    Source: Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", arXiv:2303.09556,
    section 3.4, for a network that predicts the clean image.
    """
    return sigma.pow(-2).clamp(max=gamma)


def draw_sigmas(n: int, p_mean: float, p_std: float, device: torch.device | str = "cpu") -> Tensor:
    """Draw ``n`` training noise levels with ln(sigma) ~ N(p_mean, p_std²), from torch's default generator.

    Args:
        n: Number of noise levels.
        p_mean: Mean of ln(sigma), with sigma in data units (images scaled to [-1, 1]).
        p_std: Standard deviation of ln(sigma).
        device: Device on which they are drawn; its generator is used.

    Returns:
        Noise levels in data units, float32 of shape ``(n,)``.

    Source: arXiv:2206.00364, table 1, "Noise distribution".
    """
    return (torch.randn(n, device=device) * p_std + p_mean).exp()


def edm_sigmas(n_steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> NDArray[np.float64]:
    """Return the EDM sampler's noise levels, largest first, ending in exactly 0.

    Args:
        n_steps: Denoiser steps N, at least 2.
        sigma_min: Smallest non-zero level, in data units (images scaled to [-1, 1]).
        sigma_max: Largest level, same units.
        rho: Spacing exponent, dimensionless; larger spends more steps at small sigma.

    Returns:
        Shape ``(n_steps + 1,)``, strictly decreasing.

    Raises:
        ValueError: ``n_steps < 2``, or not ``0 < sigma_min < sigma_max``.

    Source: arXiv:2206.00364, eq. 5.
    """
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"need 0 < sigma_min < sigma_max, got {sigma_min=}, {sigma_max=}")
    # In float64, as in EDM's own code: the sampler divides by sigma, which is small at the end.
    ramp = np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n_steps)
    return np.append(ramp**rho, 0.0)
