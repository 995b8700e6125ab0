"""The identity model, and what all denoisers share: EDM's preconditioning, loss and noise levels.

Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
arXiv:2206.00364, table 1, column "Ours (EDM)".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.config.config import ModelConfig

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Identity(nn.Module):
    """A placeholder that returns its input and has no parameters. It shows what a model must offer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, of any shape."""
        return x


class Scalings(NamedTuple):
    """EDM's four preconditioning factors, each with the shape of sigma."""

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


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """Reshape one value per image, or one for all, so that it broadcasts over the images.

    Args:
        values: Shape ``(N,)`` or ``()``.
        images: Shape ``(N, ...)``.

    Returns:
        Shape ``(N, 1, ..., 1)``, with as many dimensions as ``images``.
    """
    return values.expand(len(images)).reshape(-1, *[1] * (images.ndim - 1))


class Denoiser(nn.Module):
    """Base class of all models that are trained: it estimates clean images from noisy ones.

    A subclass defines ``network``, whose input and target have unit variance. The rest may be overridden: ``forward``
    for another preconditioning, ``loss`` for another loss or one with further terms, ``draw_sigmas`` for another
    distribution of noise levels, ``loss_weight`` for another weight of each level.

    Args:
        config: The run's config. data_shape, n_classes and sigma_data must be set; the trainer sets them.

    Attributes:
        class_conditional: Whether the model uses the labels: the data have classes, and the config has no field
            ``class_conditional`` that says otherwise. A model with another rule sets it in ``__init__``.

    Raises:
        ValueError: One of them is None.
        TypeError: The subclass defines neither ``network`` nor ``forward``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        cls = type(self)
        if cls.network is Denoiser.network and cls.forward is Denoiser.forward:
            raise TypeError(f"{cls.__name__} must define network(scaled, c_noise, labels)")
        if config.data_shape is None or config.n_classes is None or config.sigma_data is None:
            raise ValueError("a denoiser needs data_shape, n_classes and sigma_data; the trainer fills them in")
        self.config = config
        self.data_shape = config.data_shape
        self.n_classes = config.n_classes
        self.sigma_data = config.sigma_data
        # A config of a plugin need not have the field, hence getattr.
        self.class_conditional = bool(self.n_classes) and bool(getattr(config, "class_conditional", True))

    def network(self, scaled: Tensor, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        """Return F(c_in x; c_noise, labels), the output of the network before preconditioning.

        Args:
            scaled: Noisy images times ``c_in``, shape ``(N, *data_shape)``.
            c_noise: ln(sigma) / 4, shape ``(N,)``.
            labels: Classes, int64 of shape ``(N,)``, or None.

        Returns:
            Same shape as ``scaled``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define network(scaled, c_noise, labels)")

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the denoised images.

        Args:
            x: Noisy images, float32 of shape ``(N, *data_shape)``; the clean ones are scaled to [-1, 1].
            sigma: Noise levels, shape ``(N,)``, or one for all.
            labels: Classes, int64 of shape ``(N,)``; None if the model is not class-conditional.

        Returns:
            Same shape as ``x``.
        """
        return precondition(self.network, x, sigma, self.sigma_data, labels)

    def draw_sigmas(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw the noise levels of ``n`` training images, float32 of shape ``(n,)``, from torch's default generator."""
        return draw_sigmas(n, self.config.p_mean, self.config.p_std, device)

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """Return the weight of the squared error at each noise level, with the shape of ``sigma``."""
        if self.config.weighting == "min_snr":
            return min_snr_weight(sigma, self.config.min_snr_gamma)
        return loss_weight(sigma, self.sigma_data)

    def loss(self, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of each image, whose mean over a batch is minimised.

        Args:
            images: Clean images, float32 of shape ``(N, *data_shape)``.
            noise: Standard normal, same shape.
            sigma: Noise levels that ``draw_sigmas`` returned, shape ``(N,)``.
            labels: Classes, int64 of shape ``(N,)``; None for data without classes.

        Returns:
            Shape ``(N,)``.
        """
        return self.loss_weight(sigma) * squared_errors(self, images, noise, sigma, labels)


def precondition(network: Network, x: Tensor, sigma: Tensor, sigma_data: float, labels: Tensor | None = None) -> Tensor:
    """Return the denoiser D(x; sigma) = c_skip x + c_out F(c_in x; c_noise).

    Args:
        network: The network F, called as ``network(scaled, c_noise, labels)``.
        x: Noisy images, shape ``(N, ...)``.
        sigma: Noise levels, shape ``(N,)`` or ``()``.
        sigma_data: Root mean square of the data.
        labels: Classes, int64 of shape ``(N,)``, or None.

    Returns:
        Same shape as ``x``.

    Source: arXiv:2206.00364, eq. 7.
    """
    sigma = sigma.expand(len(x))  # (N,)
    c_skip, c_out, c_in, c_noise = edm_scalings(sigma, sigma_data)
    raw = network(per_image(c_in, x) * x, c_noise, labels)  # (N, ...)
    return per_image(c_skip, x) * x + per_image(c_out, x) * raw


def squared_errors(
    denoiser: nn.Module, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Return the mean over the values of each image of (D(y + sigma n; sigma) - y)², shape ``(N,)``.

    Args:
        denoiser: Called as ``denoiser(x, sigma, labels)``.
        images: Clean images y, shape ``(N, ...)``.
        noise: Standard normal n, same shape.
        sigma: Noise levels, shape ``(N,)``.
        labels: Classes, or None.
    """
    denoised = denoiser(images + per_image(sigma, images) * noise, sigma, labels)
    errors: Tensor = (denoised - images).square().flatten(1).mean(1)
    return errors


def denoising_losses(
    denoiser: nn.Module, images: Tensor, noise: Tensor, sigma: Tensor, sigma_data: float, labels: Tensor | None = None
) -> Tensor:
    """Return EDM's loss of each image: lambda(sigma) times the mean over its values of (D(y + sigma n; sigma) - y)².

    Args:
        denoiser: Called as ``denoiser(x, sigma, labels)``.
        images: Clean images y, shape ``(N, ...)``.
        noise: Standard normal n, same shape.
        sigma: Noise levels, shape ``(N,)``.
        sigma_data: Root mean square of the data.
        labels: Classes, or None.

    Returns:
        Shape ``(N,)``.

    Source: arXiv:2206.00364, eq. 2 and 8, but with the mean over the values instead of the sum, so that losses of
    images of different sizes have one scale.
    """
    return loss_weight(sigma, sigma_data) * squared_errors(denoiser, images, noise, sigma, labels)
