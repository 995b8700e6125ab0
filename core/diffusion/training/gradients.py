"""The gradient of the mean loss of a batch, part by part."""

from __future__ import annotations

import torch
from torch import Tensor

from core import plugins
from core.diffusion.datasets.base import Batches
from core.diffusion.model import HIDDEN
from core.diffusion.per_image import per_image
from core.diffusion.training.draws import Draws
from core.diffusion.training.state import TrainingState


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
    span = None if draws.span is None else draws.span[within][own]
    if draws.hidden is not None and labels is not None:
        labels = labels.masked_fill(draws.hidden[within][own], HIDDEN)
    autocast = torch.autocast(state.device.type, torch.bfloat16, enabled=config.precision == "bf16")
    with plugins.named_in_errors(plugins.MODELS, config.model), autocast:
        losses = state.losses(images, noise, sigma, labels, span)
    if losses.shape != (len(images),):
        raise ValueError(
            f"model {config.model!r}: loss returned shape {tuple(losses.shape)}; accepted: one value per image, "
            f"shape ({len(images)},)"
        )
    losses, sigma = losses[:n_own], sigma[:n_own]
    torch.autograd.backward(state.ranks.batch_mean(losses, len(indices)))
    return losses, sigma
