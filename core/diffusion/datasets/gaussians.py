"""``gaussians``: points from a mixture of Gaussians in the plane, whose density and best denoiser are known."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.datasets.base import HELD_OUT, InMemory, check_split

N_TRAIN, N_HELD_OUT = 8000, 2000


class Mixture:
    """An equal mixture of isotropic Gaussians.

    Args:
        means: Shape ``(n_components, d)``.
        stds: Each component's standard deviation, shape ``(n_components,)``.
    """

    def __init__(self, means: Tensor, stds: Tensor) -> None:
        self.means = means.double()
        self.stds = stds.double()

    def draw(self, n: int, random: np.random.RandomState) -> NDArray[np.float64]:
        """Return ``n`` points, shape ``(n, d)``."""
        chosen = random.randint(len(self.means), size=n)
        noise = random.standard_normal((n, self.means.shape[1]))
        points: NDArray[np.float64] = self.means.numpy()[chosen] + self.stds.numpy()[chosen, None] * noise
        return points

    def log_density(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Return ln p(x; sigma), the log-density with noise of level sigma, in nats: float64, shape ``(n,)``."""
        return torch.logsumexp(self._log_parts(x.double(), sigma), dim=1) - math.log(len(self.means))

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return E[y | x] for x = y + sigma n, which is the best denoiser, with the dtype and shape of ``x``.

        Args:
            x: Noisy points, shape ``(n, d)``.
            sigma: Noise levels, shape ``()`` or ``(n,)``.
        """
        exact, level = x.double(), sigma.double().reshape(-1, 1)
        share = torch.softmax(self._log_parts(exact, level), dim=1)
        variances = self.stds**2
        kept = variances / (variances + level**2)  # shape (n, n_components): how much of x - mean is signal
        towards = self.means + kept[:, :, None] * (exact[:, None, :] - self.means)
        return (share[:, :, None] * towards).sum(1).to(x.dtype)

    def _log_parts(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Return ln N(x; mean, (std² + sigma²) I), shape ``(n, n_components)``."""
        variances = self.stds**2 + sigma**2
        squares = (x[:, None, :] - self.means).square().sum(2)
        return -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)


def eight_gaussians() -> Mixture:
    """Return eight Gaussians of deviation 0.1 around a circle of radius 0.8."""
    angles = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return Mixture(0.8 * torch.stack([angles.cos(), angles.sin()], 1), torch.full((8,), 0.1))


class MixturePoints(InMemory):
    """Points of a mixture with a known density."""

    def __init__(self, points: NDArray[np.float64], mixture: Mixture) -> None:
        super().__init__(torch.from_numpy(points).float(), torch.zeros(len(points), dtype=torch.int64), n_classes=0)
        self.mixture = mixture

    def log_density(self, x: Tensor) -> Tensor:
        """Return ln p(x) in nats, float64, shape ``(n,)``."""
        return self.mixture.log_density(x)


def gaussians(config: ModelConfig, split: str) -> MixturePoints:
    """Return 8,000 training or 2,000 held-out points of ``eight_gaussians``, drawn by ``split_seed``; no classes."""
    check_split(split)
    mixture = eight_gaussians()
    points = mixture.draw(N_TRAIN + N_HELD_OUT, np.random.RandomState(config.split_seed))
    return MixturePoints(points[N_TRAIN:] if split == HELD_OUT else points[:N_TRAIN], mixture)
