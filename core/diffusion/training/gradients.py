"""The random numbers of a batch, and the gradient of its mean loss, part by part."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from core import plugins
from core.diffusion.datasets.base import Batches
from core.diffusion.model import HIDDEN, per_image
from core.diffusion.training.state import TrainingState


class Draws(NamedTuple):
    """The random numbers of a batch.

    Attributes:
        sigma: Noise levels, shape ``(N,)``.
        noise: Standard normal, shape ``(N, *data_shape)``.
        hidden: Which images hide their class, bool of shape ``(N,)``; None if none ever does.
        flipped: Which images are mirrored, bool of shape ``(N,)``; None if none ever is.
    """

    sigma: Tensor
    noise: Tensor
    hidden: Tensor | None
    flipped: Tensor | None


def draws_of_batch(state: TrainingState, n: int) -> Draws:
    """Draw for a batch of ``n`` images from torch's default generator; all processes draw the same."""
    model, device = state.model, state.device
    sigma = model.draw_sigmas(n, device)
    noise = torch.randn(n, *model.data_shape, device=device)
    hidden = model.draw_hidden(n, device)
    flipped = torch.rand(n, device=device) < 0.5 if state.config.flip else None
    return Draws(sigma, noise, hidden, flipped)


def add_gradient(
    state: TrainingState, batches: Batches, indices: Tensor, draws: Draws, part: range
) -> tuple[Tensor, Tensor]:
    """Add the gradient of this process's share of a part of the batch; return its losses and noise levels.

    Args:
        state: The state; the gradients of its parameters change.
        batches: The training images.
        indices: Indices of the batch's images, int64 of shape ``(N,)`` on the CPU.
        draws: The random numbers of the batch.
        part: Places in the batch, one or more.

    Raises:
        ValueError: The model's loss is not one value per image.
    """
    config = state.config
    own = state.ranks.share(len(part))
    n_own = own.stop - own.start
    own = own if n_own else slice(1)  # the others wait for a gradient; that of an image that does not count is 0
    within = slice(part.start, part.stop)
    images, labels = batches.take(indices[within][own])
    if draws.flipped is not None:
        images = torch.where(per_image(draws.flipped[within][own], images), images.flip(-1), images)
    sigma, noise = draws.sigma[within][own], draws.noise[within][own]
    if draws.hidden is not None and labels is not None:
        labels = labels.masked_fill(draws.hidden[within][own], HIDDEN)
    autocast = torch.autocast(state.device.type, torch.bfloat16, enabled=config.precision == "bf16")
    with plugins.named_in_errors(plugins.MODELS, config.model), autocast:
        losses = state.losses(images, noise, sigma, labels)
    if losses.shape != (len(images),):
        raise ValueError(
            f"model {config.model!r}: loss returned shape {tuple(losses.shape)}; accepted: one value per image, "
            f"shape ({len(images)},)"
        )
    losses, sigma = losses[:n_own], sigma[:n_own]
    torch.autograd.backward(state.ranks.batch_mean(losses, len(indices)))
    return losses, sigma
