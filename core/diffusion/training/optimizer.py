"""The optimiser, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from core.config.config import ModelConfig


def make_optimizer(config: ModelConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the config's optimiser of the parameters; weight decay is AdamW's only, and acts on all of them."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    return torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)


def learning_rate(config: ModelConfig, step: int, n_steps: int) -> float:
    """Return the learning rate of a step: linear warm-up, then constant, or falling to 0 as half a cosine.

    It depends on the step alone, so that a resumed run continues where it was.

    Args:
        config: The run's config.
        step: The step, from 1.
        n_steps: Steps of the whole training, by which the cosine ends.

    Source: Loshchilov & Hutter 2017, "SGDR", arXiv:1608.03983, eq. 5, without restarts and with a minimum of 0.
    """
    warm = min(1.0, step / max(1, config.warmup_steps))
    if config.lr_schedule == "constant" or step <= config.warmup_steps:
        return config.learning_rate * warm
    # Zero-based within the part after warm-up, so that the first step has the full rate and the last one is not lost.
    done = (step - 1 - config.warmup_steps) / (n_steps - config.warmup_steps)
    return config.learning_rate * (1 + math.cos(math.pi * min(1.0, done))) / 2
