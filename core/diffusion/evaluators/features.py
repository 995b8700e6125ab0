"""The spaces in which images are compared: pixels, and others that are registered under ``pyml.features``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import plugins
from core.config.config import ModelConfig
from core.diffusion.datasets.base import TRAIN, Batches, ImageData, load_data
from core.diffusion.pictures import can_be_shown
from core.utils.results import Scalar

#: Returns one vector per image, shape ``(n, d)``, from float32 images of shape ``(n, *data_shape)``.
Extract = Callable[[Tensor], Tensor]

PIXELS = "pixels"
IMAGES_PER_BATCH = 250
MAX_PCA_IMAGES = 10_000
RANDOM_SEED = 0


class FeatureSpace:
    """A feature space by its name, and what a protocol says of it.

    A plugin of the group ``pyml.features`` is a callable ``(config, device) -> extract``; ``extract`` takes float32
    images on the device, scaled to [-1, 1], and returns one vector per image. A network of one's own reads its weights
    from a file that its owner names, for example in an environment variable. If ``extract`` has an attribute
    ``protocol``, a mapping such as ``{"weights": "<digest>"}``, protocols hold it too, its names after "features_".

    Args:
        name: ``pixels``, or the name of a plugin.
        config: The run's config.
        device: Where the features are computed.

    Raises:
        ConfigError: There is no such feature space.
        PluginError: Its plugin cannot be imported.
    """

    def __init__(self, name: str, config: ModelConfig, device: torch.device) -> None:
        self.name, self._config, self._device = name, config, device
        with plugins.named_in_errors(plugins.FEATURES, name):
            self._extract: Extract = plugins.load(plugins.FEATURES, name)(config, device)

    def describe(self) -> str:
        """Return the name as protocols have it: with the distribution and version of a plugin that is not built in."""
        if self.name == PIXELS:
            return feature_space(self._config.data_shape)
        plugin = plugins.find(plugins.FEATURES, self.name)
        return (
            self.name
            if plugin.distribution == plugins.OURS
            else f"{self.name} ({plugin.distribution} {plugin.version})"
        )

    def protocol(self) -> dict[str, Scalar]:
        """Return what a protocol says of the features: their name, and what the plugin says besides it."""
        more: Mapping[str, Scalar] = getattr(self._extract, "protocol", {})
        return {"features": self.describe(), **{f"features_{name}": value for name, value in more.items()}}

    def of(self, images: Tensor) -> NDArray[np.float64]:
        """Return the features of images, shape ``(n, d)``."""
        return self._stack(torch.split(images, IMAGES_PER_BATCH))

    def of_data(self, data: ImageData, at_most: int) -> NDArray[np.float64]:
        """Return the features of a data set, or of ``at_most`` of its images, evenly spaced."""
        return self._stack(_evenly(data, at_most))

    def _stack(self, batches: Iterable[Tensor]) -> NDArray[np.float64]:
        found = []
        for images in batches:
            with torch.no_grad():
                vectors = self._extract(images.to(self._device))
            if vectors.ndim != 2 or len(vectors) != len(images):
                raise ValueError(
                    f"features {self.name!r}: got shape {tuple(vectors.shape)} for {len(images)} images; accepted: one "
                    "vector per image"
                )
            found.append(vectors.double().cpu().numpy())
        features = np.concatenate(found)
        if not np.isfinite(features).all():
            raise ValueError(f"features {self.name!r}: some are not finite; no distance can be taken")
        return features


def feature_space(data_shape: tuple[int, ...] | None) -> str:
    """Return the name of the raw features of such data: "pixels" or "values"."""
    return PIXELS if can_be_shown(data_shape or ()) else "values"


def features(images: Tensor) -> Tensor:
    """Return one vector per image, float64: pixels clipped to [-1, 1], the range of pictures; others as they are."""
    in_range = images.clamp(-1, 1) if can_be_shown(tuple(images.shape[1:])) else images
    return in_range.flatten(1).double()


def pixels(_config: ModelConfig, _device: torch.device) -> Extract:
    """Return ``features``: the values of the images themselves."""
    return features


def pca_16(config: ModelConfig, device: torch.device) -> Extract:
    """Return the first 16 principal components of the training images."""
    return _pca(config, device, 16)


def pca_64(config: ModelConfig, device: torch.device) -> Extract:
    """Return the first 64 principal components of the training images."""
    return _pca(config, device, 64)


def random_64(config: ModelConfig, device: torch.device) -> Extract:
    """Return 64 random features: rectified random projections of the pixels, drawn from a fixed seed.

    Scaled and centred by the training images, so that each feature's argument has mean 0 and variance near 1.
    """
    mean, _, spread = _training_statistics(config)
    random = np.random.RandomState(RANDOM_SEED)  # its stream is guaranteed never to change
    weights = torch.from_numpy(random.standard_normal((len(mean), 64)) / (math.sqrt(len(mean)) * spread)).to(device)
    shift, origin = torch.from_numpy(random.standard_normal(64)).to(device), mean.to(device)
    return lambda images: torch.relu((features(images) - origin) @ weights + shift)


def _pca(config: ModelConfig, device: torch.device, n_components: int) -> Extract:
    mean, centred, _ = _training_statistics(config)
    _, _, rows = torch.linalg.svd(centred, full_matrices=False)
    basis, origin = rows[:n_components].T.to(device), mean.to(device)
    return lambda images: (features(images) - origin) @ basis


def _training_statistics(config: ModelConfig) -> tuple[Tensor, Tensor, float]:
    """Return the training images' mean, the centred images, and the root mean square of their values."""
    found = torch.cat([features(images) for images in _evenly(load_data(config, TRAIN), MAX_PCA_IMAGES)])
    mean = found.mean(0)
    centred = found - mean
    return mean, centred, max(float(centred.square().mean().sqrt()), 1e-12)


def _evenly(data: ImageData, at_most: int) -> Iterable[Tensor]:
    batches, n = Batches(data, torch.device("cpu")), min(len(data), at_most)
    for places in torch.split(torch.arange(n) * len(data) // n, IMAGES_PER_BATCH):
        yield batches.take(places)[0]
