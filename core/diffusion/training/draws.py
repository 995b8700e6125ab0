"""The random numbers of a training batch: noise, noise levels, spans of time, hidden classes, mirrored images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from core.diffusion.training.state import TrainingState


class Draws(NamedTuple):
    """The random numbers of a batch.

    Attributes:
        sigma: Noise levels, shape ``(N,)``.
        noise: Standard normal, shape ``(N, *data_shape)``.
        hidden: Which images hide their class, bool of shape ``(N,)``; None if none ever does.
        flipped: Which images are mirrored, bool of shape ``(N,)``; None if none ever is.
        span: Spans of time of the family MeanFlow, shape ``(N,)``; None in other families.
    """

    sigma: Tensor
    noise: Tensor
    hidden: Tensor | None
    flipped: Tensor | None
    span: Tensor | None


def draws_of_batch(state: TrainingState, n: int) -> Draws:
    """Draw for a batch of ``n`` images from torch's default generator; all processes draw the same."""
    model, device = state.model, state.device
    sigma = model.draw_sigmas(n, device)
    noise = torch.randn(n, *model.data_shape, device=device)
    hidden = model.draw_hidden(n, device)
    flipped = torch.rand(n, device=device) < 0.5 if state.config.flip else None
    return Draws(sigma, noise, hidden, flipped, model.draw_spans(sigma))
