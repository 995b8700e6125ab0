"""How close samples are to held-out images, and what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import HELD_OUT, TRAIN, Batches, ImageData, load_data
from core.diffusion.evaluators.base import RunEvaluator
from core.diffusion.evaluators.features import feature_space, features
from core.diffusion.frechet import N_GROUPS, FrechetReference, GroupedMoments
from core.diffusion.pictures import can_be_shown, n_columns, save_grid
from core.diffusion.sampling import churn, generate
from core.diffusion.training.checkpoints import EMA_WEIGHTS
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, Scalar

GRID_ROWS = 10
IMAGES_PER_BATCH = 1000
UNIT = "jackknife group"


class SamplingEvaluator(RunEvaluator):
    """Samples ``n_samples`` images in ``n_steps`` steps: a grid of the first, and the distance of all to real ones.

    The Fréchet distance is taken between raw pixels, clipped to [-1, 1]. Beside it stands the floor: the distance of
    real images, training ones, to the same held-out images. As many are taken as there are samples, where there are
    that many, since the distance shrinks with their number. Samples stream through: memory does not grow with them.
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
        """Return "frechet_distance" and "frechet_distance/floor"; write the grid."""
        held_out, train = load_data(self.config, HELD_OUT), load_data(self.config, TRAIN)
        reference = FrechetReference(_moments(held_out, len(held_out)).total())
        floor, samples = _moments(train, self.config.n_samples), self._sample()
        return ResultCollection(
            [
                ResultRecord(self._metadata(samples.n, reference.n), samples.distance(reference)),
                ResultRecord(self._floor_metadata(floor.n, reference.n), floor.distance(reference)),
            ]
        )

    def _sample(self) -> GroupedMoments:
        """Generate the samples, write the grid, and return their moments."""
        denoiser, n_samples = self.denoiser(), self.config.n_samples
        columns, moments = n_columns(denoiser.n_classes), GroupedMoments()
        shown: list[Tensor] = []
        for batch in generate(denoiser, self.config, n_samples, self.device()):
            moments.add(_groups(batch.indices, denoiser.n_classes), features(batch.images).numpy())
            shown.append(batch.images[: max(0, GRID_ROWS * columns - batch.indices.start)])
            self.settings.progress(batch.indices.stop, n_samples, f"sampling in {self.config.n_steps} steps")
        if self.draws_grid and can_be_shown(denoiser.data_shape):
            raw = "" if self.settings.weights == EMA_WEIGHTS else "-raw"
            name = f"{self.settings.evaluation or 'samples'}-{self.config.n_steps}-steps{raw}.png"
            save_grid(torch.cat(shown), columns, self.run_path / "samples" / name)
        return moments

    def _metadata(self, n_samples: int, n_reference: int) -> ResultMetadata:
        return self.metadata(
            "frechet_distance",
            n_steps=self.config.n_steps,
            n_samples=n_samples,
            unit=UNIT,
            protocol={**self._protocol(n_samples, n_reference), "sampler": self.config.sampler, **churn(self.config)},
            higher_is_better=False,
        )

    def _floor_metadata(self, n_samples: int, n_reference: int) -> ResultMetadata:
        return ResultMetadata(
            "frechet_distance/floor",
            unit=UNIT,
            protocol={**self._protocol(n_samples, n_reference), "samples": TRAIN},
            higher_is_better=False,
        )

    def _protocol(self, n_samples: int, n_reference: int) -> dict[str, Scalar]:
        return {
            "dataset": self.data_name(),
            "split_seed": self.config.split_seed,
            "features": feature_space(self.config.data_shape),
            "n_samples": n_samples,
            "n_reference": n_reference,
            "reference": HELD_OUT,
            "error": f"{N_GROUPS}-group jackknife, reference fixed",
        }


class FrechetEvaluator(SamplingEvaluator):
    """The Fréchet distance of ``sampling`` by itself, without the grid; it runs when it is asked for by name."""

    by_default = False
    draws_grid = False


def _groups(indices: range, n_classes: int) -> NDArray[np.int64]:
    """Return samples' groups: each takes whole rounds of classes, so that all groups are alike, as reruns would be."""
    groups: NDArray[np.int64] = np.asarray(indices) // max(1, n_classes) % N_GROUPS
    return groups


def _moments(data: ImageData, at_most: int) -> GroupedMoments:
    """Return the moments of a data set, or of ``at_most`` of its images, evenly spaced."""
    batches, moments = Batches(data, torch.device("cpu")), GroupedMoments()
    n = min(len(data), at_most)
    chosen = torch.arange(n) * len(data) // n
    groups = np.random.RandomState(0).permutation(n) % N_GROUPS  # data may be sorted by anything
    for places in torch.split(torch.arange(n), IMAGES_PER_BATCH):
        moments.add(groups[places], features(batches.take(chosen[places])[0]).numpy())
    return moments
