"""The formulas of MeanFlow, which learns the average velocity between two times, and so samples in one step.

Time and path are those of ``core.diffusion.flow``: z = (1 - t) y + t n, with the velocity v = n - y. The average
velocity u(z, r, t) between the times r <= t is 1 / (t - r) times the integral of the velocity from r to t, along the
solution of the probability-flow ODE that is at z at time t. So one step from t to r is exact: z_r = z - (t - r) u. With
r = t, u is the velocity of a rectified flow. The network gets the span t - r in place of r.

Source: Geng et al. 2025, "Mean Flows for One-step Generative Modeling", arXiv:2505.13447. Unlike there, the total
derivative of u is a central difference, taken only where r is not t: a training step costs less than with
``torch.func.jvp``, and a network with any layers will do.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.diffusion.edm import Scalings
from core.diffusion.flow import draw_flow_sigmas, flow_scalings
from core.diffusion.per_image import per_image

SHARE_WITH_SPAN = 0.25  #: Share of training images with r != t (table 1a of the paper).
LEAST_ERROR = 1e-3  #: The constant c of the adaptive weight (section 4.3).
TIME_STEP = 5e-3  #: Of the central difference: float32 rounding errors grow below it, the error of order 2 above.

#: u(z, t, span, labels): shapes ``(N, ...)``, ``(N,)``, ``(N,)``, and ``(N,)`` or None.
AverageVelocity = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def meanflow_scalings(sigma: Tensor) -> Scalings:
    """Return the factors of ``flow_scalings``, but the network gets the time t itself, as in the paper.

    The first time of the sampler lies beyond almost all training times. As a time it is close to them; as ln(sigma) it
    would not be.
    """
    return flow_scalings(sigma)._replace(c_noise=sigma / (1 + sigma))


def draw_meanflow_sigmas(
    n: int, distribution: str, logit_mean: float, logit_std: float, device: torch.device | str = "cpu"
) -> Tensor:
    """Draw ``n`` training times t, each the larger of two draws, and return their noise levels t / (1 - t).

    Args:
        n: Number of noise levels.
        distribution: Distribution of each draw: "uniform" or "logit_normal". See ``draw_flow_sigmas``.
        logit_mean: Mean of the logit-normal distribution.
        logit_std: Standard deviation of the logit-normal distribution.
        device: Device on which they are drawn.

    Returns:
        Noise levels in data units, float32 of shape ``(n,)``.

    Source: arXiv:2505.13447, section 4.3.
    """
    one, other = (draw_flow_sigmas(n, distribution, logit_mean, logit_std, device) for _ in range(2))
    return torch.maximum(one, other)


def draw_spans(sigma: Tensor, distribution: str, logit_mean: float, logit_std: float) -> Tensor:
    """Draw the span t - r of each training time t: r is the smaller of two draws of which t is the larger one.

    In three quarters of the draws, r = t and the span is 0.

    Args:
        sigma: Noise levels t / (1 - t), shape ``(N,)``.
        distribution: "uniform" or "logit_normal"; see ``draw_flow_sigmas``.
        logit_mean: Mean of the logit-normal distribution.
        logit_std: Standard deviation of the logit-normal distribution.

    Returns:
        Shape ``(N,)``, 0 or more and at most t.
    """
    level = sigma.double()
    t, share = level / (1 + level), torch.rand_like(level)
    if distribution == "uniform":
        r = share * t
    else:  # by inverting the distribution function: r lies below t
        below_t = torch.special.ndtr((level.log() - logit_mean) / logit_std)
        r = (torch.special.ndtri(share * below_t) * logit_std + logit_mean).sigmoid()
    has_span = torch.rand_like(level) < SHARE_WITH_SPAN
    return torch.where(has_span, (t - r).clamp(min=0), 0).to(sigma)


def meanflow_target(
    velocity: AverageVelocity, z: Tensor, v: Tensor, t: Tensor, span: Tensor, labels: Tensor | None
) -> Tensor:
    """Return u = v - (t - r) du/dt, which the network is trained to return, without a gradient.

    du/dt = v du/dz + du/dt at fixed z is the total derivative along the straight path of the image.

    Args:
        velocity: The network.
        z: Points of the paths, shape ``(N, ...)``.
        v: Their velocities n - y, same shape.
        t: Times, shape ``(N,)``.
        span: Spans t - r, shape ``(N,)``.
        labels: Classes, or None.

    Source: arXiv:2505.13447, section 4.1 and algorithm 1.
    """
    moving = span > 0
    target = v.clone()
    if not moving.any():
        return target
    z, v, t, span = z[moving], v[moving], t[moving], span[moving]
    ahead, behind = z + TIME_STEP * v, z - TIME_STEP * v
    # In bf16 the error of the difference would be more than half of it; in TF32, a twelfth.
    with torch.no_grad(), torch.autocast(z.device.type, enabled=False), _full_float32():
        values = velocity(
            torch.cat([ahead, behind]),
            torch.cat([t + TIME_STEP, t - TIME_STEP]),
            torch.cat([span + TIME_STEP, span - TIME_STEP]),  # r stays where it is
            None if labels is None else labels[moving].repeat(2),
        )
        of_ahead, of_behind = values.chunk(2)
        target[moving] = v - per_image(span, v) * (of_ahead - of_behind) / (2 * TIME_STEP)
    return target


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """While the block runs, convolutions and matrix products of float32 keep all of its 24 bits, on a GPU too."""
    backends: Any = torch.backends
    value: bool | str
    kernels, name, value = [backends.cudnn, backends.cuda.matmul], "allow_tf32", False
    if hasattr(backends.cudnn, "conv"):  # PyTorch 2.9; where these were set, the older setting cannot be read
        kernels = [backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul]
        name, value = "fp32_precision", "ieee"
    before = [getattr(each, name) for each in kernels]
    try:
        for each in kernels:
            setattr(each, name, value)
        yield
    finally:
        for each, own in zip(kernels, before, strict=True):
            setattr(each, name, own)


def adaptively_weighted(errors: Tensor) -> Tensor:
    """Return the mean squared error of each image; its gradient is that of the adaptively weighted loss.

    The weighted loss is E / (E + c), where E is the sum of squared errors and the denominator has no gradient. Its
    value would say nothing: it is close to 1 whatever the network does.

    Args:
        errors: Output minus target, shape ``(N, ...)``.

    Returns:
        Shape ``(N,)``.

    Source: arXiv:2505.13447, section 4.3, "Loss Metrics", with p = 1.
    """
    squared = errors.flatten(1).square()
    summed = squared.sum(1)
    weighted = summed / (summed.detach() + LEAST_ERROR)
    return squared.mean(1).detach() + (weighted - weighted.detach())


@torch.no_grad()
def meanflow_sampler(
    velocity: AverageVelocity, noise: Tensor, times: NDArray[np.float64], labels: Tensor | None = None
) -> Tensor:
    """Sample by steps z_r = z - (t - r) u(z, r, t). N steps cost N calls of the network.

    Args:
        velocity: The network, which works in float32.
        noise: Standard normal, float64, shape ``(n, ...)``.
        times: Shape ``(N + 1,)``, decreasing, the last one 0. See ``flow_times``.
        labels: Classes, int64 of shape ``(n,)``, or None.

    Returns:
        Samples, float64 with the shape of ``noise``.

    Source: arXiv:2505.13447, algorithm 2, which is one step; section 4.1 for several. Unlike there, the first time may
    be less than 1, where the point is taken to be the noise times t.
    """
    z: Tensor = noise * times[0]  # (n, ...)
    for t, r in itertools.pairwise(times.tolist()):
        image = z.float()
        now = torch.full((len(z),), t, dtype=image.dtype, device=z.device)  # (n,)
        z = z - (t - r) * velocity(image, now, torch.full_like(now, t - r), labels).to(z.dtype)
    return z
