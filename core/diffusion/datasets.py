"""Data sets that come with a package: nothing is downloaded."""

from __future__ import annotations

import torch

from core.config.config import ModelConfig
from core.diffusion.data import InMemory, split_indices


def digits(config: ModelConfig, split: str) -> InMemory:
    """Return scikit-learn's 1,797 handwritten digits, 8×8 with grey values 0 to 16, that come with the package.

    Source: Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository
    (the test part).
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    chosen = split_indices(bunch.target, split, config.split_seed)
    images = torch.from_numpy(bunch.images[chosen] / 8 - 1).float().unsqueeze(1)
    return InMemory(images, torch.from_numpy(bunch.target[chosen]).long(), n_classes=10)
