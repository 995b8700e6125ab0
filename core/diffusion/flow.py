"""The formulas of rectified flow, also called flow matching with straight paths.

A point of the path at time t, between an image y (t = 0) and noise n (t = 1), is z = (1 - t) y + t n. The network
estimates the velocity v = n - y. In terms of a denoiser, z = x / (1 + sigma) is a noisy image x = y + sigma n of noise
level sigma = t / (1 - t), and D(x; sigma) = z - t v. Liu et al. and Lipman et al. let time run from noise to data;
Esser et al. from data to noise, as here.

Sources: Liu et al. 2022, "Flow Straight and Fast", arXiv:2209.03003, eq. 1; Lipman et al. 2022, "Flow Matching for
Generative Modeling", arXiv:2210.02747, section 4.1 (optimal transport paths, here with sigma_min = 0); Esser et al.
2024, "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", arXiv:2403.03206, section 3.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.diffusion.edm import Scalings

#: Training times lie between this and 1 minus this: at 0 and 1, ln(sigma) is not finite.
SMALLEST_TIME = 1e-4


def flow_scalings(sigma: Tensor) -> Scalings:
    """Return the factors that turn a network which estimates the velocity into a denoiser.

    Args:
        sigma: Noise levels t / (1 - t), positive, in data units.

    The network gets ln(sigma) / 4, as in EDM, so that one network serves both families. In the papers it gets t.
    """
    share_of_image = 1 / (1 + sigma)  # 1 - t
    return Scalings(c_skip=share_of_image, c_out=-sigma * share_of_image, c_in=share_of_image, c_noise=sigma.log() / 4)


def flow_loss_weight(sigma: Tensor) -> Tensor:
    """Return 1 / t², which turns the squared error of the denoised image into that of the velocity.

    Source: D - y = -t (v - (n - y)); the loss of arXiv:2209.03003, eq. 1, is the squared error of the velocity.
    """
    return ((1 + sigma) / sigma) ** 2


def draw_flow_sigmas(
    n: int, distribution: str, logit_mean: float, logit_std: float, device: torch.device | str = "cpu"
) -> Tensor:
    """Draw ``n`` training times t from torch's default generator, and return their noise levels t / (1 - t).

    Args:
        n: Number of noise levels.
        distribution: "uniform", or "logit_normal": ln(t / (1 - t)) ~ N(logit_mean, logit_std²).
        logit_mean: Mean of the logit-normal distribution.
        logit_std: Standard deviation of the logit-normal distribution.
        device: Device on which they are drawn; its generator is used.

    Returns:
        Noise levels in data units, float32 of shape ``(n,)``.

    Source: arXiv:2403.03206, section 3.1, "Logit-Normal Sampling"; but with t between 1e-4 and 1 - 1e-4.
    """
    if distribution == "uniform":
        times = torch.rand(n, device=device)
    else:
        times = (torch.randn(n, device=device) * logit_std + logit_mean).sigmoid()
    times = times.clamp(SMALLEST_TIME, 1 - SMALLEST_TIME)
    return times / (1 - times)


def flow_times(n_steps: int, sigma_max: float) -> NDArray[np.float64]:
    """Return the times of the sampler, evenly spaced from sigma_max / (1 + sigma_max) down to exactly 0.

    Args:
        n_steps: Steps N, at least 1.
        sigma_max: Noise level of the first step. At t = 1 it would be infinite; at 80, the default, t is 0.988.

    Returns:
        Shape ``(n_steps + 1,)``, strictly decreasing.

    Raises:
        ValueError: ``n_steps < 1``, or ``sigma_max`` is not positive.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}")
    if not sigma_max > 0:
        raise ValueError(f"sigma_max must be positive, got {sigma_max}")
    return np.linspace(sigma_max / (1 + sigma_max), 0.0, n_steps + 1)
