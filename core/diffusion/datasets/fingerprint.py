"""Which images a data set holds: a hash of each image, a fingerprint of all, and the images that two sets share."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import ImageData, InMemory
from core.diffusion.training.random_state import seeded

#: Images that are hashed of a data set that is not held in memory; reading more would take too long.
AT_MOST = 10_000
MOST_NAMED = 10  #: Classes that an error names.


def image_hashes(data: ImageData) -> list[bytes]:
    """Return a 16-byte hash of each image's values, in the order of the data set.

    Of a data set that is not held in memory, ``AT_MOST`` evenly spaced images are taken.
    """
    return [image for image, _ in _hashed(data)]


def fingerprint(data: ImageData) -> str:
    """Return 16 hexadecimal digits that change with the images, their labels, their order and their number.

    Of a data set that is not held in memory, ``AT_MOST`` evenly spaced images are taken.
    """
    whole = hashlib.sha256(f"{len(data)} {tuple(data.data_shape)} {data.n_classes}".encode())
    for image, label in _hashed(data):
        whole.update(image + label.to_bytes(8, "little", signed=True))
    return whole.hexdigest()[:16]


def classes_fingerprint(data: ImageData) -> str | None:
    """Return 16 hexadecimal digits that change with the names of the classes and their order; None without names."""
    names: Sequence[str] = getattr(data, "class_names", ())
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16] if names else None


def check_fits(data: ImageData, config: ModelConfig) -> None:
    """Check that images have the shape and the classes of those that a run was trained on.

    Args:
        data: Images of the run's data set, as it is now.
        config: The run's config, completed from its training images.

    Raises:
        ConfigError: They have another shape, or a label may mean another class.
    """
    before, now = (config.data_shape, config.n_classes), (tuple(data.data_shape), data.n_classes)
    if before != now:
        raise ConfigError(
            f"data set {config.dataset!r}: images of shape {now[0]} in {now[1]} classes, but the model was trained on "
            f"images of shape {before[0]} in {before[1]} classes. Restore the data."
        )
    if config.classes_fingerprint not in {None, classes_fingerprint(data)}:
        names: Sequence[str] = getattr(data, "class_names", ())
        now_named = ", ".join([*names[:MOST_NAMED], *(["..."] if len(names) > MOST_NAMED else [])]) or "without names"
        raise ConfigError(
            f"data set {config.dataset!r}: the classes are now {now_named}. In training they had other names, so a "
            "label may mean another class. Restore the names, such as those of the folders."
        )


def check_not_trained_on(train: ImageData, held_out: ImageData, name: str) -> None:
    """Check that no held-out image is among the training images.

    Args:
        train: The training images.
        held_out: The held-out images.
        name: The data set's name, for the message.

    Raises:
        ConfigError: The two share images.
    """
    trained_on = set(image_hashes(train))
    shared = sum(image in trained_on for image in image_hashes(held_out))
    if shared:
        raise ConfigError(
            f"data set {name!r}: {shared:,} of {len(held_out):,} held-out images are among the training images, so "
            "results on them would be too good. The data set must put equal images on the same side of the split."
        )


def _hashed(data: ImageData) -> list[tuple[bytes, int]]:
    """Return the hash and the label of each image that is taken."""
    if isinstance(data, InMemory):
        images, labels = data.tensors
        return [(_hash(image), label) for image, label in zip(images.numpy(), labels.tolist(), strict=True)]
    with seeded(0, torch.device("cpu")):  # a data set that augments at random must give the same images each time
        taken = (data[index] for index in range(0, len(data), math.ceil(len(data) / AT_MOST)))
        return [(_hash(image.numpy()), int(label)) for image, label, *_ in taken]


def _hash(image: NDArray[Any]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()
