"""Whether samples are copies: how far they are from the nearest training image."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import HELD_OUT, TRAIN, Batches, ImageData
from core.diffusion.datasets.fingerprint import fingerprint
from core.diffusion.evaluators.base import RunEvaluator
from core.diffusion.evaluators.features import feature_space, features
from core.diffusion.sampling import generate, sampler_protocol
from core.utils.meters import Meter
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, Scalar

IMAGES_PER_BATCH = 1000


class NearestEvaluator(RunEvaluator):
    """The distance of samples to the nearest training image, beside that of held-out images: memorisation.

    Samples much closer to training images than held-out images are have been memorised. The distance is Euclidean,
    per value (root mean square), in pixels clipped to [-1, 1]. The unit is the sample or the image; the error
    takes the training images as they are.
    """

    uses_sampler = True

    def __init__(self, config: ModelConfig, run_path: str | Path) -> None:
        super().__init__(config, run_path)
        if config.n_samples < 1:
            raise ConfigError(f"n_samples: got {config.n_samples}; the nearest images need at least 1.")

    @classmethod
    def supports(cls, config: ModelConfig) -> bool:
        """Say whether there are samples to look at."""
        return super().supports(config) and config.n_samples > 0

    def evaluate(self) -> ResultCollection:
        """Return "nearest_distance" of samples, and "nearest_distance/held_out"."""
        train, held_out = self.data(TRAIN), self.data(HELD_OUT)
        device, denoiser = self.device(), self.denoiser()
        to_train = _Nearest(train, device)
        meter, n_samples = Meter("sample", "held_out"), self.config.n_samples
        for batch in generate(denoiser, self.config, n_samples, device):
            meter.update(sample=to_train.distances(batch.images.to(device)))
            self.settings.progress(batch.indices.stop, n_samples, "nearest training images")
        batches = Batches(held_out, device)
        for chosen in torch.split(torch.arange(len(held_out)), IMAGES_PER_BATCH):
            meter.update(held_out=to_train.distances(batches.take(chosen)[0]))
        return ResultCollection(
            [
                ResultRecord(self._of_samples(train), meter.result("sample")),
                ResultRecord(self._of_held_out(train, held_out), meter.result("held_out")),
            ]
        )

    def _of_samples(self, train: ImageData) -> ResultMetadata:
        protocol = {**self._protocol(train), **sampler_protocol(self.config)}
        return self.metadata(
            "nearest_distance", n_steps=self.config.n_steps, n_samples=self.config.n_samples, protocol=protocol
        )

    def _of_held_out(self, train: ImageData, held_out: ImageData) -> ResultMetadata:
        protocol = {**self._protocol(train), "n_images": len(held_out), "held_out": fingerprint(held_out)}
        return ResultMetadata("nearest_distance/held_out", unit="image", protocol=protocol, role="reference")

    def _protocol(self, train: ImageData) -> dict[str, Scalar]:
        return {
            **self.data_protocol(train),
            "features": feature_space(self.config.data_shape),
            "n_train": len(train),
        }


class _Nearest:
    """Distances to the nearest of a data set's images, which are looked through batch by batch."""

    def __init__(self, data: ImageData, device: torch.device) -> None:
        self._batches = Batches(data, device)
        self._chunks = torch.split(torch.arange(len(data)), IMAGES_PER_BATCH)

    def distances(self, images: Tensor) -> Tensor:
        """Return each image's root mean square difference to the nearest, float64, shape ``(n,)``, on the CPU."""
        x = features(images)
        nearest = [torch.cdist(x, features(self._batches.take(chunk)[0])).amin(1) for chunk in self._chunks]
        distances: Tensor = torch.stack(nearest).amin(0).cpu() / x.shape[1] ** 0.5
        return distances
