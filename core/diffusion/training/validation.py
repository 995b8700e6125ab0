"""The loss on the validation images, by which the best checkpoint is chosen."""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor

from core.diffusion.datasets.base import Batches, ImageData
from core.diffusion.model import Denoiser
from core.diffusion.training.random_state import seeded

N_DRAWS = 4
NOISE_SEED = 0
IMAGES_PER_BATCH = 250


@frozen
class Best:
    """The best checkpoint so far: its training step, and its mean loss on the validation images."""

    step: int
    loss: float


class Validation:
    """Measures a model's own loss, the one that it is trained on, on the validation images.

    The noise is the same each time, so that the losses of two steps differ by the weights only.

    Args:
        data: The validation images.
        device: Device of the model.
    """

    def __init__(self, data: ImageData, device: torch.device) -> None:
        self._batches, self._n, self._device = Batches(data, device), len(data), device

    @torch.no_grad()
    def losses(self, denoiser: Denoiser) -> Tensor:
        """Return the loss of each image, averaged over four draws of noise: float64, shape ``(n,)``, on the CPU."""
        found = []
        with seeded(NOISE_SEED, self._device):
            for indices in torch.split(torch.arange(self._n), IMAGES_PER_BATCH):
                images, labels = self._batches.take(indices)
                draws = []
                for _ in range(N_DRAWS):
                    sigma = denoiser.draw_sigmas(len(images), self._device)
                    noise, span = torch.randn_like(images), denoiser.draw_spans(sigma)
                    draws.append(denoiser.training_loss(images, noise, sigma, labels, span))
                found.append(torch.stack(draws).double().mean(0).cpu())
        return torch.cat(found)


def better(step: int, loss: float, best: Best | None) -> Best | None:
    """Return the better one of a checkpoint and the best one before it; None if no loss was finite.

    Args:
        step: The checkpoint's training step.
        loss: Its mean loss on the validation images.
        best: The best one so far, if any.
    """
    return Best(step, loss) if math.isfinite(loss) and (best is None or loss < best.loss) else best
