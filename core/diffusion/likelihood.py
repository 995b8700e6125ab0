"""Log-likelihood from the probability-flow ODE, with the exact trace or Hutchinson's estimate."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from core.diffusion.schedules import Denoise

Trace = Callable[[Tensor, Tensor], Tensor]


def exact_trace(denoised: Tensor, x: Tensor) -> Tensor:
    """Return the trace of the Jacobian dD/dx of each image, with one backward pass per value of an image.

    The images of a batch must not depend on each other.

    Args:
        denoised: D(x), shape ``(n, ...)``, with the graph that leads to ``x``.
        x: Noisy images, shape ``(n, ...)``, with requires_grad.

    Returns:
        Shape ``(1, n)``.
    """
    # One backward pass gives one row of every image's Jacobian; torch.func.jacrev would hold all n·d² entries.
    columns = denoised.flatten(1)  # (n, d)
    total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for index in range(columns.shape[1]):
        (row,) = torch.autograd.grad(columns[:, index].sum(), x, retain_graph=True)  # (n, ...)
        total += row.flatten(1)[:, index]
    return total[None]


def hutchinson_trace(probes: Tensor) -> Trace:
    """Return an unbiased estimator of the trace: v · (dD/dx) v for each probe v of independent random signs.

    Args:
        probes: -1 or 1 with equal probability, shape ``(n_probes, n, *data_shape)``.

    Returns:
        A function like ``exact_trace`` that returns shape ``(n_probes, n)``.

    Source: Hutchinson 1990; Grathwohl et al. 2019, arXiv:1810.01367, eq. 7.
    """

    # The same probes serve every step of the ODE (Grathwohl et al., section 3.1): the integrand then stays smooth.
    def estimate(denoised: Tensor, x: Tensor) -> Tensor:
        # Each row is vᵀ (dD/dx), shape (n, *data_shape): one backward pass per probe.
        rows = [torch.autograd.grad(denoised, x, probe, retain_graph=True)[0] for probe in probes]
        return torch.stack([(row * probe).flatten(1).sum(1) for row, probe in zip(rows, probes, strict=True)])

    return estimate


def log_density(
    denoise: Denoise, x: Tensor, trace: Trace, sigma_min: float, sigma_max: float, n_steps: int
) -> tuple[Tensor, Tensor]:
    """Integrate the ODE from sigma_min to sigma_max and return ln p(x; sigma_min).

    The density at ``sigma_max`` is taken to be N(0, sigma_max² I).

    With t = ln sigma the ODE is dx/dt = x - D(x), along which ln p falls at the rate d - tr(dD/dx). Both are
    integrated by Runge and Kutta's fourth-order method in steps of equal t.

    Args:
        denoise: The denoiser. See ``core.diffusion.sampling.bind``.
        x: Points at noise level ``sigma_min``, float64, shape ``(n, ...)``.
        trace: ``exact_trace`` or the result of ``hutchinson_trace``.
        sigma_min: Noise level of the density to return.
        sigma_max: Noise level at which the density is taken to be normal.
        n_steps: Runge-Kutta steps; each calls the denoiser and the trace four times.

    Returns:
        ln p in nats, float64 of shape ``(n_probes, n)`` with one row per probe, and the points at ``sigma_max``, shape
        ``(n, ...)``.

    Source: Song et al. 2021, arXiv:2011.13456, eq. 39, with EDM's ODE.
    """
    # Fixed steps, not the adaptive RK45 of Song et al.: that one chooses its steps by the batch, so that an image's
    # result would depend on the images beside it.
    times = np.linspace(math.log(sigma_min), math.log(sigma_max), n_steps + 1).tolist()
    step = times[1] - times[0]
    gained = torch.zeros(1, len(x), dtype=x.dtype, device=x.device)  # (n_probes, n) after the first step

    def rates(point: Tensor, time: float) -> tuple[Tensor, Tensor]:
        # The trace needs a graph also where the caller works without gradients.
        with torch.enable_grad():
            leaf = point.detach().requires_grad_()
            denoised = denoise(leaf, math.exp(time))
            traced = trace(denoised, leaf)
        # Detached: the graph of all steps would otherwise stay in memory.
        return (leaf - denoised).detach(), leaf[0].numel() - traced.detach()

    for time in times[:-1]:
        slope_1, rate_1 = rates(x, time)
        slope_2, rate_2 = rates(x + step / 2 * slope_1, time + step / 2)
        slope_3, rate_3 = rates(x + step / 2 * slope_2, time + step / 2)
        slope_4, rate_4 = rates(x + step * slope_3, time + step)
        x = x + step / 6 * (slope_1 + 2 * slope_2 + 2 * slope_3 + slope_4)
        gained = gained + step / 6 * (rate_1 + 2 * rate_2 + 2 * rate_3 + rate_4)
    return normal_log_density(x, sigma_max) + gained, x


def normal_log_density(x: Tensor, sigma: float) -> Tensor:
    """Return ln N(x; 0, sigma² I) of each image, in nats, shape ``(n,)``.

    Args:
        x: Images, shape ``(n, ...)``.
        sigma: Standard deviation of each value.
    """
    d = x[0].numel()
    return -x.square().flatten(1).sum(1) / (2 * sigma**2) - d * math.log(sigma * math.sqrt(2 * math.pi))


def log_share_of_level(noisy: Tensor, clean: Tensor, sigma: float, n_levels: int) -> Tensor:
    """Return ln P(clean | noisy) of each image, in nats, for values that lie on a grid of levels from -1 to 1.

    Args:
        noisy: The images with noise, shape ``(n, ...)``.
        clean: The images before the noise, same shape; each value is one of the levels.
        sigma: Standard deviation of the noise.
        n_levels: Number of levels, evenly spaced from -1 to 1.

    Returns:
        Shape ``(n,)``.

    Source: Kingma et al. 2021, arXiv:2107.00630, eq. 8: the decoder of a discrete image given its noisy version.
    """
    width = 2 / (n_levels - 1)
    places = torch.arange(-3, 4, dtype=noisy.dtype, device=noisy.device) * width  # further ones add less than e^-70
    centres = clean[..., None] + places  # (n, ..., 7): the nearest levels
    inside = (centres > -1 - width / 2) & (centres < 1 + width / 2)
    logits = (-((noisy[..., None] - centres) ** 2) / (2 * sigma**2)).masked_fill(~inside, -math.inf)
    # (n, ..., 7); index 3 is the level of the clean value itself.
    return (logits[..., 3] - torch.logsumexp(logits, dim=-1)).flatten(1).sum(1)
