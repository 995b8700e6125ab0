"""How close samples are to held-out images, and what they look like."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import HELD_OUT, TRAIN, Batches, ImageData
from core.diffusion.distances.frechet import Frechet, jackknife_error
from core.diffusion.evaluators.base import RunEvaluator
from core.diffusion.evaluators.features import feature_space, features
from core.diffusion.pictures import can_be_shown, n_columns, save_grid
from core.diffusion.sampling import generate, sampler_protocol
from core.diffusion.training.checkpoints import EMA_WEIGHTS
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, Scalar, ScalarResult

GRID_ROWS = 10
IMAGES_PER_BATCH = 1000
MAX_GROUPS = 20
UNIT = "jackknife group"


class SamplingEvaluator(RunEvaluator):
    """Samples ``n_samples`` images in ``n_steps`` steps: a grid of the first, and the distance of all to real ones.

    The Fréchet distance is taken between raw pixels, clipped to [-1, 1]. It is biased upwards, by more than its error
    where samples are few. The same distance of as many training images as there are samples, the floor, has the same
    bias; the excess over it is the number to read.
    """

    uses_sampler = True
    draws_grid: ClassVar[bool] = True

    @classmethod
    def supports(cls, config: ModelConfig) -> bool:
        """Say whether there are samples enough for a distance."""
        return super().supports(config) and config.n_samples >= 2

    def __init__(self, config: ModelConfig, run_path: str | Path) -> None:
        super().__init__(config, run_path)
        if config.n_samples < 2:
            raise ConfigError(
                f"n_samples: got {config.n_samples}; a Fréchet distance needs at least 2, 0 leaves it out."
            )

    def evaluate(self) -> ResultCollection:
        """Return "frechet_distance", its "excess" over real images and their "floor"; write the grid."""
        held_out, train = self.data(HELD_OUT), self.data(TRAIN)
        reference, floor = _real(held_out, len(held_out)), _real(train, self.config.n_samples)
        images = self._sample()
        samples, groups = features(images).numpy(), _groups(len(images), self.denoiser().n_classes)
        n_floor = len(floor)
        protocol = self._protocol(held_out)
        of_model = {**protocol, **sampler_protocol(self.config)}
        of_samples = Frechet(samples, reference, groups, _random_groups(len(reference)))
        of_floor = Frechet(floor, reference, _random_groups(n_floor), _random_groups(len(reference)))
        as_many = of_samples
        if n_floor < len(samples):  # the bias cancels between equal numbers only
            as_many = Frechet(samples[:n_floor], reference, groups[:n_floor], _random_groups(len(reference)))
        over: dict[str, Scalar] = {"n_samples": min(n_floor, len(samples)), "over": TRAIN}
        raw, raw_floor = _raw(of_samples, len(samples)), {**_raw(of_floor, n_floor), "samples": TRAIN}
        return ResultCollection(
            [
                self._record("", _distance(of_samples), {**of_model, **raw}),
                self._record("/excess", _excess(as_many, of_floor), {**of_model, **over}, "part"),
                self._record("/floor", _distance(of_floor), {**protocol, **raw_floor}, "reference"),
            ]
        )

    def _sample(self) -> Tensor:
        """Generate the samples, write the grid, and return the images."""
        denoiser, n_samples = self.denoiser(), self.config.n_samples
        columns = n_columns(denoiser.n_classes)
        batches = []
        for batch in generate(denoiser, self.config, n_samples, self.device()):
            batches.append(batch.images)
            self.settings.progress(batch.indices.stop, n_samples, f"sampling in {self.config.n_steps} steps")
        images = torch.cat(batches)
        if self.draws_grid and can_be_shown(denoiser.data_shape):
            raw = "" if self.settings.weights == EMA_WEIGHTS else "-raw"
            name = f"{self.settings.evaluation or 'samples'}-{self.config.n_steps}-steps{raw}.png"
            save_grid(images[: GRID_ROWS * columns], columns, self.run_path / "samples" / name)
        return images

    def _record(
        self, suffix: str, result: ScalarResult, protocol: dict[str, Scalar], role: str = "primary"
    ) -> ResultRecord:
        """Return the record of a result; of the floor, which no model takes part in, without steps and weights."""
        name, config = f"frechet_distance{suffix}", self.config
        about = partial(ResultMetadata, name)
        if role != "reference":
            about = partial(self.metadata, name, n_steps=config.n_steps, n_samples=config.n_samples)
        return ResultRecord(about(unit=UNIT, protocol=protocol, higher_is_better=False, role=role), result)

    def _protocol(self, held_out: ImageData) -> dict[str, Scalar]:
        return {
            **self.data_protocol(held_out),
            "features": feature_space(self.config.data_shape),
            "n_reference": len(held_out),
            "reference": HELD_OUT,
        }


class FrechetEvaluator(SamplingEvaluator):
    """The Fréchet distance of ``sampling`` by itself, without the grid; it runs when it is asked for by name."""

    by_default = False
    draws_grid = False


def _distance(distance: Frechet) -> ScalarResult:
    """Return the distance with the error over its samples, the reference held fixed."""
    without = distance.without_sample_groups()
    return ScalarResult(distance.value(), jackknife_error(without), len(without))


def _raw(distance: Frechet, n_samples: int) -> dict[str, Scalar]:
    """Return what the protocol says of a distance that is not corrected for its bias."""
    return {
        "n_samples": n_samples,
        "bias": "upwards, see excess",
        "error": f"{distance.samples.n_groups}-group jackknife, reference fixed",
    }


def _excess(samples: Frechet, floor: Frechet) -> ScalarResult:
    """Return the difference of two distances to one reference, its error over samples, real images and reference."""
    parts = (
        samples.without_sample_groups(),
        floor.without_sample_groups(),
        samples.without_reference_groups() - floor.without_reference_groups(),
    )
    error = math.sqrt(sum(jackknife_error(part) ** 2 for part in parts))
    return ScalarResult(samples.value() - floor.value(), error, min(map(len, parts)))


def _groups(n_samples: int, n_classes: int) -> NDArray[np.int64]:
    """Return samples' groups: each takes whole rounds of classes, so that all groups are alike, as reruns would be."""
    groups: NDArray[np.int64] = np.arange(n_samples) // max(1, n_classes) % MAX_GROUPS
    return groups


def _random_groups(n: int) -> NDArray[np.int64]:
    """Return the groups of real images, at random but always the same: data may be sorted by anything."""
    groups: NDArray[np.int64] = np.random.RandomState(0).permutation(n) % MAX_GROUPS
    return groups


def _real(data: ImageData, at_most: int) -> NDArray[np.float64]:
    """Return the features of a data set, or of ``at_most`` of its images, evenly spaced."""
    batches, n = Batches(data, torch.device("cpu")), min(len(data), at_most)
    chosen = torch.arange(n) * len(data) // n
    found = [features(batches.take(places)[0]).numpy() for places in torch.split(chosen, IMAGES_PER_BATCH)]
    return np.concatenate(found)
