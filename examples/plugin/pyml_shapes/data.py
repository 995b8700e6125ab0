"""Discs, squares and crosses of random size and place, 8×8."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from core.config.config import ModelConfig

SIZE = 8


class Shapes(Dataset[tuple[Tensor, int]]):
    """900 training or 300 held-out images in three classes.

    Args:
        config: The run's config; the split depends on its ``split_seed``, never on its ``seed``.
        split: "train" or "held_out".
    """

    data_shape = (1, SIZE, SIZE)
    n_classes = 3

    def __init__(self, config: ModelConfig, split: str) -> None:
        random = np.random.RandomState(config.split_seed)
        images = np.stack([draw(index % self.n_classes, random) for index in range(1200)])
        self.images = torch.from_numpy(images[900:] if split == "held_out" else images[:900]).float().unsqueeze(1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], index % self.n_classes


def draw(label: int, random: np.random.RandomState) -> np.ndarray:
    """Return one image, values -1 to 1."""
    row, column = random.uniform(2.5, 4.5, size=2)
    radius = random.uniform(1.5, 2.5)
    down, across = np.mgrid[:SIZE, :SIZE] - np.array([row, column])[:, None, None]
    distance = [np.hypot(down, across), np.maximum(abs(down), abs(across)), np.minimum(abs(down), abs(across)) + 1][
        label
    ]
    return np.clip(2 * (radius - distance), -1, 1)
