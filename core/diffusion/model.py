"""The identity model, and what all denoisers share: preconditioning, loss and noise levels of the config's family."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.edm import Scalings, draw_sigmas, edm_scalings, loss_weight, min_snr_weight
from core.diffusion.flow import draw_flow_sigmas, flow_loss_weight, flow_scalings
from core.diffusion.meanflow import (
    adaptively_weighted,
    draw_meanflow_sigmas,
    draw_spans,
    meanflow_scalings,
    meanflow_target,
)
from core.diffusion.per_image import per_image

HIDDEN = -1  #: The label of an image whose class is hidden from the model.
Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Identity(nn.Module):
    """A placeholder that returns its input and has no parameters. It shows what a model must offer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, of any shape."""
        return x


class Denoiser(nn.Module):
    """Base class of all models that are trained: it estimates clean images from noisy ones.

    A subclass defines ``network``. The rest is that of the config's family, EDM or flow, and may be overridden:
    ``scalings`` or ``forward`` for another preconditioning, ``loss`` for another loss or one with further terms,
    ``draw_sigmas`` for another distribution of noise levels, ``loss_weight`` for another weight of each level.
    For the family MeanFlow, it defines ``average_velocity``.

    Args:
        config: The run's config. data_shape, n_classes and sigma_data must be set; the trainer sets them.

    Attributes:
        class_conditional: Whether the model uses the labels: the data have classes, and the config has no field
            ``class_conditional`` that says otherwise. A model with another rule sets it in ``__init__``.
        label_dropout: Share of training images whose class is hidden; 0 if the config has no such field.

    Raises:
        ValueError: One of them is None.
        TypeError: The subclass defines neither ``network`` nor ``forward``.
        ConfigError: The family is MeanFlow, which the subclass does not support.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        cls = type(self)
        if config.family == "meanflow":
            _check_meanflow(cls, config.model)
        elif cls.network is Denoiser.network and cls.forward is Denoiser.forward:
            raise TypeError(f"{cls.__name__} must define network(scaled, c_noise, labels)")
        if config.data_shape is None or config.n_classes is None or config.sigma_data is None:
            raise ValueError("a denoiser needs data_shape, n_classes and sigma_data; the trainer fills them in")
        self.config = config
        self.data_shape = config.data_shape
        self.n_classes = config.n_classes
        self.sigma_data = config.sigma_data
        # A config of a plugin need not have the field, hence getattr.
        self.class_conditional = bool(self.n_classes) and bool(getattr(config, "class_conditional", True))
        self.label_dropout = float(getattr(config, "label_dropout", 0.0)) if self.class_conditional else 0.0

    def network(self, scaled: Tensor, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        """Return F(c_in x; c_noise, labels), the output of the network before preconditioning.

        In EDM, input and target have unit variance. In flow, the output is the velocity, noise minus image.

        Args:
            scaled: Noisy images times ``c_in``, shape ``(N, *data_shape)``.
            c_noise: ln(sigma) / 4, shape ``(N,)``.
            labels: Classes, int64 of shape ``(N,)``, or None. If the config has a field ``label_dropout``, some are
                -1: the class is hidden.

        Returns:
            Same shape as ``scaled``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define network(scaled, c_noise, labels)")

    def average_velocity(self, z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None) -> Tensor:
        """Return u(z, r, t), the average velocity between the times r = t - span and t; family MeanFlow only.

        Args:
            z: Points (1 - t) y + t n of the paths from images y to noise n, shape ``(N, *data_shape)``.
            t: Times, shape ``(N,)``, from 0 (data) to 1 (noise).
            span: Lengths of time t - r, shape ``(N,)``; with 0, the output is the velocity at t.
            labels: As for ``network``.

        Returns:
            Same shape as ``z``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define average_velocity(z, t, span, labels)")

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the denoised images.

        Args:
            x: Noisy images, float32 of shape ``(N, *data_shape)``; the clean ones are scaled to [-1, 1].
            sigma: Noise levels, shape ``(N,)``, or one for all.
            labels: Classes, int64 of shape ``(N,)``; None if the model is not class-conditional.

        Returns:
            Same shape as ``x``.
        """
        network = self._velocity if self.config.family == "meanflow" else self.network
        return precondition(network, x, self.scalings(sigma.expand(len(x))), labels)

    def _velocity(self, z: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        return self.average_velocity(z, t, torch.zeros_like(t), labels)

    def scalings(self, sigma: Tensor) -> Scalings:
        """Return the preconditioning factors at these noise levels, each with the shape of ``sigma``."""
        if self.config.family == "meanflow":
            return meanflow_scalings(sigma)
        return flow_scalings(sigma) if self.config.family == "flow" else edm_scalings(sigma, self.sigma_data)

    def draw_sigmas(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw the noise levels of ``n`` training images, float32 of shape ``(n,)``, from torch's default generator."""
        config = self.config
        if config.family == "edm":
            return draw_sigmas(n, config.p_mean, config.p_std, device)
        draw = draw_meanflow_sigmas if config.family == "meanflow" else draw_flow_sigmas
        return draw(n, config.t_distribution, config.logit_mean, config.logit_std, device)

    def draw_spans(self, sigma: Tensor) -> Tensor | None:
        """Draw the spans t - r that belong to noise levels of ``draw_sigmas``, same shape; None unless MeanFlow."""
        config = self.config
        if config.family != "meanflow":
            return None
        return draw_spans(sigma, config.t_distribution, config.logit_mean, config.logit_std)

    def draw_hidden(self, n: int, device: torch.device | str = "cpu") -> Tensor | None:
        """Draw which of ``n`` training images hide their class, bool of shape ``(n,)``; None if none ever does."""
        return torch.rand(n, device=device) < self.label_dropout if self.label_dropout else None

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """Return the weight of the squared error at each noise level, with the shape of ``sigma``."""
        if self.config.weighting == "min_snr":
            return min_snr_weight(sigma, self.config.min_snr_gamma)
        return loss_weight(sigma, self.sigma_data) if self.config.family == "edm" else flow_loss_weight(sigma)

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

    def loss_over_spans(
        self, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None, span: Tensor
    ) -> Tensor:
        """Return MeanFlow's loss of each image: the mean squared error of the average velocity, to be minimised.

        The gradient is that of the adaptively weighted loss. The target is computed in eval mode, because dropout would
        draw other numbers for each of the two points of its derivative.

        Args:
            images: As for ``loss``.
            noise: As for ``loss``.
            sigma: As for ``loss``.
            labels: As for ``loss``.
            span: Lengths of time that ``draw_spans`` returned, shape ``(N,)``.

        Returns:
            Shape ``(N,)``.

        Source: arXiv:2505.13447, algorithm 1.
        """
        t, v = sigma / (1 + sigma), noise - images
        z = images + per_image(t, v) * v
        with _in_eval_mode(self):
            target = meanflow_target(self.average_velocity, z, v, t, span, labels)
        return adaptively_weighted(self.average_velocity(z, t, span, labels) - target)

    def training_loss(
        self, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None, span: Tensor | None = None
    ) -> Tensor:
        """Return what is minimised: ``loss``, or ``loss_over_spans`` where there are spans, shape ``(N,)``.

        Args:
            images: As for ``loss``.
            noise: As for ``loss``.
            sigma: As for ``loss``.
            labels: As for ``loss``.
            span: Lengths of time that ``draw_spans`` returned.
        """
        if span is None:
            return self.loss(images, noise, sigma, labels)
        return self.loss_over_spans(images, noise, sigma, labels, span)


@contextlib.contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    """While the block runs, no module of the model is in training mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _check_meanflow(cls: type[Denoiser], model: str) -> None:
    """Check that a model estimates average velocities, and that the family ignores nothing that the model defines."""
    place = {name: index for index, base in reversed([*enumerate(cls.__mro__)]) for name in vars(base)}
    if cls.average_velocity is Denoiser.average_velocity:
        raise ConfigError(
            f"family: got 'meanflow', but model {model!r} estimates no average velocity: {cls.__name__} does not "
            "define average_velocity(z, t, span, labels). Try: --family flow, or --model mlp or unet."
        )
    unused = ("network", "forward", "loss", "loss_weight", "scalings")
    if ignored := [name for name in unused if place[name] < place["average_velocity"]]:
        raise ConfigError(
            f"family: got 'meanflow', whose training does not call {', '.join(ignored)} of model {model!r}: "
            f"{cls.__name__} must define average_velocity as well. Try: --family flow."
        )


def precondition(network: Network, x: Tensor, scalings: Scalings, labels: Tensor | None = None) -> Tensor:
    """Return the denoiser D(x; sigma) = c_skip x + c_out F(c_in x; c_noise).

    Args:
        network: The network F, called as ``network(scaled, c_noise, labels)``.
        x: Noisy images, shape ``(N, ...)``.
        scalings: The factors at the noise level of each image, each of shape ``(N,)``.
        labels: Classes, int64 of shape ``(N,)``, or None.

    Returns:
        Same shape as ``x``.

    Source: arXiv:2206.00364, eq. 7.
    """
    c_skip, c_out, c_in, c_noise = scalings
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
