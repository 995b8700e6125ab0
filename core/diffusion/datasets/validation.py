"""The part of the training images that is left out of training, to choose the best checkpoint."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.diffusion.training.random_state import seeded


class Chosen:
    """Some images of a data set that is not held in memory.

    Args:
        data: The data set.
        indices: Which images, int64 of shape ``(n,)``.
    """

    def __init__(self, data: Any, indices: NDArray[np.int64]) -> None:
        self._data, self._indices = data, indices
        self.data_shape: tuple[int, ...] = data.data_shape
        self.n_classes: int = data.n_classes
        self.n_levels: int = getattr(data, "n_levels", 0)
        self.split_by_content: bool = getattr(data, "split_by_content", False)
        self.class_names: tuple[str, ...] = getattr(data, "class_names", ())

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        image: tuple[Any, ...] = self._data[int(self._indices[index])]
        return image


def parted(data: Any, share: float, split_seed: int) -> tuple[Any, Any]:
    """Return the images to train on and those for validation, each in the order of the data set.

    A hash of its content decides the side of an image, so that equal images are on one side, and adding or removing
    images moves no other one. The hash does not depend on the one by which ``folder`` holds images out.

    Args:
        data: The training images of a data set.
        share: Share of the images that goes to validation, up to chance.
        split_seed: Seed of the hash.
    """
    key = split_seed.to_bytes(8, "little")
    with seeded(0, torch.device("cpu")):  # a data set that augments at random must give the same images each time
        hashes = [
            hashlib.blake2b(values.tobytes(), digest_size=8, key=key, person=b"validation").digest()
            for values in _values(data)
        ]
    chosen = np.array([int.from_bytes(found, "little") < share * 2**64 for found in hashes], dtype=bool)
    return _only(data, np.flatnonzero(~chosen)), _only(data, np.flatnonzero(chosen))


def _values(data: Any) -> Iterator[NDArray[Any]]:
    """Yield the values of each image."""
    if (tensors := getattr(data, "tensors", None)) is not None:
        yield from tensors[0].numpy()
    else:
        yield from (data[index][0].numpy() for index in range(len(data)))


def _only(data: Any, indices: NDArray[np.int64]) -> Any:
    """Return some images as a data set of the same kind, if it is held in memory."""
    if (tensors := getattr(data, "tensors", None)) is None:
        return Chosen(data, indices)
    part = copy.copy(data)
    part.tensors = tuple(tensor[torch.from_numpy(indices)] for tensor in tensors)
    return part
