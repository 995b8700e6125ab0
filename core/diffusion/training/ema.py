"""The exponential moving average of the weights, from which samples are drawn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.config.config import ModelConfig


def half_lives(config: ModelConfig) -> tuple[int, ...]:
    """Return the half-lives of a config's moving averages, in training images; the first is the default."""
    found = config.ema_half_life_images
    return found if isinstance(found, tuple) else (found,)


class EMA:
    """A moving average of a model's parameters, with a half-life in training images.

    The half-life is at most 5% of the images seen so far, so that the random initial weights are soon forgotten.
    Buffers, such as the statistics of batch norm, are not averaged.

    Args:
        model: The model whose parameters are averaged.
        half_life_images: Half-life, in training images.

    Source: NVlabs/edm, training_loop.py (ema_halflife_kimg, ema_rampup_ratio = 0.05).
    """

    RAMP_UP = 0.05

    def __init__(self, model: nn.Module, half_life_images: int) -> None:
        self.half_life_images = half_life_images
        self._parameters: list[Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._averages = [parameter.detach().clone() for parameter in self._parameters]
        self._names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self._model = model

    def decay(self, n_seen: int, batch_size: int) -> float:
        """Return the weight of the old average in an update.

        Args:
            n_seen: Training images seen before this batch.
            batch_size: Images of this batch.
        """
        half_life = min(self.half_life_images, n_seen * self.RAMP_UP)
        return 0.5 ** (batch_size / half_life) if half_life else 0.0

    @torch.no_grad()
    def update(self, n_seen: int, batch_size: int) -> None:
        """Move the average towards the model's current weights. See ``decay`` for the arguments."""
        torch._foreach_lerp_(self._averages, self._parameters, 1 - self.decay(n_seen, batch_size))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the model's state dict with the averages in place of the weights."""
        return {**self._model.state_dict(), **dict(zip(self._names, self._averages, strict=True))}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set the averages to those that ``state_dict`` returned."""
        for name, average in zip(self._names, self._averages, strict=True):
            average.copy_(state[name])
