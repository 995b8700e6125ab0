"""What a data set must offer, its split into training and held-out images, and batches of it."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import TensorDataset

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.validation import parted
from core.diffusion.training.random_state import seeded
from core.plugins import DATASETS, load, named_in_errors
from core.utils.meters import Meter

TRAIN, HELD_OUT = SPLITS = ("train", "held_out")  #: The splits that a data set offers.
VALIDATION = "validation"  #: The part of its training images that chooses the best checkpoint.
HELD_OUT_SHARE = 0.2


@runtime_checkable
class ImageData(Protocol):
    """What the trainer needs of a data set. Image ``x`` is float32, scaled to [-1, 1]; ``label`` is an int, 0 if none.

    Attributes:
        data_shape: Shape of one x: ``(channels, height, width)``, or ``(n_values,)``.
        n_classes: Number of classes; 0 for data without labels.
    """

    data_shape: tuple[int, ...]
    n_classes: int

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return ``(x, label)``."""
        ...


class InMemory(TensorDataset):
    """A data set held in memory as two tensors, so that taking a batch is one indexing operation.

    Args:
        images: float32 scaled to [-1, 1], or uint8, which is scaled when it is taken and needs a quarter of the memory;
            shape ``(n, *data_shape)``.
        labels: int64, shape ``(n,)``.
        n_classes: Number of classes; 0 for data without labels.
        n_levels: Number of values that a pixel can take, evenly spaced from -1 to 1; 0 if it is not quantised. For
            uint8 it is 256.
        split_by_content: Whether the content of an image alone decides whether it is held out. A held-out image was
            then never a training image, even if images have been added or removed.
        class_names: Names of the classes, in the order of their labels; empty if they have none.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        n_classes: int,
        n_levels: int = 0,
        *,
        split_by_content: bool = False,
        class_names: tuple[str, ...] = (),
    ) -> None:
        super().__init__(images, labels)
        self.data_shape = tuple(images.shape[1:])
        self.n_classes = n_classes
        self.n_levels = 256 if images.dtype == torch.uint8 else n_levels
        self.split_by_content = split_by_content
        self.class_names = class_names

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        images, labels = self.tensors
        return scaled(images[index]), labels[index]


def scaled(images: Tensor) -> Tensor:
    """Return uint8 images scaled from 0..255 to [-1, 1], as float32; other images unchanged."""
    return images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images


def check_split(split: str) -> None:
    """Raise ValueError if the split is neither "train" nor "held_out"."""
    if split not in SPLITS:
        raise ValueError(f"split: got {split!r}; accepted: {TRAIN!r} or {HELD_OUT!r}")


def split_indices(labels: NDArray[Any], split: str, split_seed: int) -> NDArray[np.int64]:
    """Return the indices of one split, in increasing order; a random fifth of every class is held out.

    Args:
        labels: Class of each image, shape ``(n,)``.
        split: "train" or "held_out".
        split_seed: Seed of the split. NumPy's RandomState is used because its stream is guaranteed never to change.
    """
    check_split(split)
    random = np.random.RandomState(split_seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        held_out[members[: round(HELD_OUT_SHARE * len(members))]] = True
    return np.flatnonzero(held_out if split == HELD_OUT else ~held_out)


def is_from_before_fingerprints(config: ModelConfig) -> bool:
    """Return whether a config is that of a run trained before the training images had a fingerprint.

    Such a run is evaluated and resumed as it was trained: data set ``folder`` splits it by path, not by content.
    """
    return config.data_shape is not None and config.data_fingerprint is None


def load_data(config: ModelConfig, split: str) -> ImageData:
    """Return one split of the config's data set: "train", "held_out" or "validation".

    Raises:
        ConfigError: The data set is unknown, its images cannot be used, or a part of the training images is empty.
        PluginError: The data set cannot be imported.
        ValueError: It is empty, or its first image does not have the type and shape that it should have.
    """
    if split == HELD_OUT or (split == TRAIN and config.validation_share == 0):
        return _load(config, split)
    data = _load(config, TRAIN)
    train: ImageData
    validation: ImageData
    train, validation = parted(data, config.validation_share, config.split_seed)
    if not len(train) or not len(validation):
        raise ConfigError(
            f"validation_share: {config.validation_share:g} of {len(data):,} training images leaves {len(train):,} for "
            f"training and {len(validation):,} for validation; accepted: some of both."
        )
    return validation if split == VALIDATION else train


def _load(config: ModelConfig, split: str) -> ImageData:
    """Return one split as the data set offers it. See ``load_data`` for the errors."""
    generators = seeded(config.split_seed, torch.device("cpu"))  # a data set may draw from the global generators
    with generators, named_in_errors(DATASETS, config.dataset):
        data: ImageData = load(DATASETS, config.dataset)(config, split)
        _check(data, f"data set {config.dataset!r}, split {split!r}")
    return data


def _check(data: object, where: str) -> None:
    """Raise ValueError if it is no data set, is empty, or its first image has another type or shape than it says."""
    if not isinstance(data, ImageData):
        raise ValueError(f"{where}: got a {type(data).__name__}; it needs data_shape, n_classes and a length")
    if len(data) == 0:
        raise ValueError(f"{where}: holds no images")
    image = data[0][0]
    if not isinstance(image, Tensor) or image.dtype != torch.float32 or tuple(image.shape) != tuple(data.data_shape):
        came = f"{image.dtype} of shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"{where}: x is {came}; accepted: float32 of shape data_shape = {tuple(data.data_shape)}")


class Batches:
    """Takes batches from a data set by index: at once if it is held in memory, else image by image.

    Args:
        data: The data set.
        device: Device of the batches. A data set held in memory is moved there once.
    """

    def __init__(self, data: ImageData, device: torch.device) -> None:
        self._data = data
        self._device = device
        self._in_memory = tuple(t.to(device) for t in data.tensors) if isinstance(data, InMemory) else None

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return images and labels on the device.

        Args:
            indices: int64, shape ``(N,)``, on the CPU.

        Returns:
            Images, float32 of shape ``(N, *data_shape)``, and labels, int64 of shape ``(N,)``; None for data without
            classes.
        """
        if self._in_memory is not None:
            places = self._moved(indices)
            images, labels = (tensor[places] for tensor in self._in_memory)
            images = scaled(images)
        else:
            pairs = [self._data[index] for index in indices.tolist()]
            images = self._moved(torch.stack([x for x, *_ in pairs]))
            labels = self._moved(torch.tensor([int(label) for _, label, *_ in pairs]))
        return images, labels if self._data.n_classes else None

    def _moved(self, tensor: Tensor) -> Tensor:
        """Return the tensor on the device. The host waits for a GPU only if the memory is not pinned."""
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)


def measured_sigma_data(data: ImageData, sigma_data_from: str) -> float:
    """Return sigma_data, measured on all values of the data set, to three digits.

    The loss of a network that returns 0 is 1 at every noise level if sigma_data is the root mean square of the data.
    For data with mean 0 that is the standard deviation, which EDM uses.

    The sum is exact and the result is rounded, so that every machine gets the same number. Of a data set that is not
    held in memory, 10,000 evenly spaced images are taken.

    Args:
        data: The training images.
        sigma_data_from: "rms" for the root mean square, "std" for the standard deviation.

    Raises:
        ValueError: All values are equal, or some are not finite.
    """
    meter = Meter("value")
    if isinstance(data, InMemory):
        for images in torch.split(data.tensors[0], 1000):
            meter.update(value=scaled(images))
    else:
        for index in range(0, len(data), math.ceil(len(data) / 10_000)):
            meter.update(value=data[index][0])
    deviation = meter.std("value")
    if not deviation > 0 or not math.isfinite(deviation):
        raise ValueError(f"the data's standard deviation is {deviation}; accepted: finite values, not all equal")
    if sigma_data_from == "rms":
        deviation = math.hypot(meter.mean("value"), meter.std("value", ddof=0))
    return float(f"{deviation:.3g}")
