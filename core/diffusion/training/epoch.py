"""Training for one epoch: one optimiser step after another."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.diffusion.datasets.base import Batches
from core.diffusion.training.draws import draws_of_batch
from core.diffusion.training.gradients import add_gradient
from core.diffusion.training.random_state import draws_of_step
from core.diffusion.training.state import TrainingState
from core.runs.shards import share


def train_epoch(state: TrainingState, batches: Batches, after_step: Callable[[], None]) -> None:
    """Train on each image once, in random order; continue an interrupted epoch where it stopped."""
    if state.order is None:
        state.order = torch.randperm(state.n_images)
        state.measures.restart()
    while state.n_seen < state.n_images:
        indices = state.order[state.n_seen : state.n_seen + state.config.batch_size]
        train_step(state, batches, indices)
        if state.measures.is_full:
            state.measures.fold()
        state.n_seen += len(indices)
        after_step()
    state.measures.gather()
    state.finish_epoch()


def train_step(state: TrainingState, batches: Batches, indices: Tensor) -> None:
    """Take one optimiser step on the mean loss of a batch, and update the moving average of the weights.

    Source: the loss is the model's. Adam, warm-up as in NVlabs/edm, gradient clipping as in DDPM.

    Args:
        state: The state to change.
        batches: The training images.
        indices: Indices of the batch's images, int64 of shape ``(N,)`` on the CPU.

    Raises:
        ValueError: The model's loss is not one value per image.
    """
    config, n = state.config, len(indices)

    # Draw for the whole batch, then go forward and backward through one part of it after another.
    draws = draws_of_batch(state, n)
    state.optimizer.zero_grad()
    with draws_of_step(config.seed, state.step, state.ranks.rank, state.device):
        parts = (share(n, number, config.accumulate) for number in range(1, config.accumulate + 1))
        found = [add_gradient(state, batches, indices, draws, part) for part in parts if len(part)]
    losses, sigma = found[0] if len(found) == 1 else map(torch.cat, zip(*found, strict=True))

    # Clip the gradient, update the weights and their average, and keep what the step measured.
    grad_norm = nn.utils.clip_grad_norm_(state.parameters, config.max_grad_norm)
    state.step += 1
    if config.skip_nonfinite and not grad_norm.isfinite():
        state.measures.skip()
        return
    state.set_learning_rate()
    state.optimizer.step()
    state.update_averages(len(indices))
    state.measures.add(state.step, losses, sigma, grad_norm)
