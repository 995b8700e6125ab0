"""The Fréchet distance of samples to held-out images, and a grid of samples."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.diffusion.datasets.base import TRAIN
from core.diffusion.distances.corrected import corrected, shortage
from core.diffusion.distances.frechet import Frechet, jackknife_error
from core.diffusion.distances.two_sample import MIN_UNITS
from core.diffusion.evaluators.base import Values
from core.diffusion.evaluators.samples import SampleEvaluator, random_groups, rounds
from core.diffusion.pictures import can_be_shown, n_columns, save_grid
from core.diffusion.training.checkpoints import EMA_WEIGHTS
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, Scalar, ScalarResult

GRID_ROWS = 10
NAME, UNIT = "frechet_distance", "jackknife group"


class _Distances(NamedTuple):
    """Distances to the held-out images: of the samples, of as many samples as the floor has, of training images."""

    samples: Frechet
    as_many: Frechet
    floor: Frechet


class SamplingEvaluator(SampleEvaluator):
    """Samples ``n_samples`` images in ``n_steps`` steps: a grid of the first, and the Fréchet distance of all.

    The distance is biased upwards, by more than its error where samples are few. The same distance of as many training
    images as there are samples, the floor, has the same bias; the excess over it is the number to report. With two
    samples a dimension or more there is also the distance corrected for its bias.
    """

    draws_grid: ClassVar[bool] = True

    def prepare(self) -> None:
        """Import also what writes the grid."""
        super().prepare()
        if self.draws_grid:
            import PIL.Image

            PIL.Image.preinit()  # it imports the writers of the common formats, PNG among them

    def results(self, _values: Values) -> ResultCollection:
        """Return "frechet_distance", its "excess", its "corrected" value and its "floor"; write the grid."""
        images = self.samples()
        self._draw_grid(images)
        samples, reference = self.space.of(images), self.reference()
        floor = self.space.of_data(self.data(TRAIN), len(samples))
        found = _distances(samples, reference, floor, rounds(len(samples), self.config.n_classes))
        protocol = self.protocol()
        of_model, n_floor = {**protocol, **self.sampler()}, len(floor)
        records = [
            ResultRecord(self._about("", {**of_model, **_raw(found.samples)}), _distance(found.samples)),
            ResultRecord(
                self._about("/excess", {**of_model, "n_samples": n_floor, "over": TRAIN}, role="part"),
                _excess(found.as_many, found.floor),
            ),
            *self._corrected(found.samples, of_model),
        ]
        about_floor = {**protocol, **_raw(found.floor), "n_samples": n_floor, "samples": TRAIN}
        records.append(ResultRecord(_floor_metadata("/floor", about_floor), _distance(found.floor)))
        return ResultCollection(records)

    def _corrected(self, distance: Frechet, protocol: dict[str, Scalar]) -> list[ResultRecord]:
        """Return the corrected distance, or nothing and a note where there is too little to correct it."""
        n, d = distance.samples.features.shape
        reason = shortage(n, len(distance.reference.features), d)
        if not reason and distance.samples.n_groups < MIN_UNITS:
            reason = f"{n} samples are fewer than {MIN_UNITS} rounds of the classes; take more"
        if reason:
            self.settings.note(f"{NAME}/corrected is left out: {reason}.")
            return []
        how = {"bias": "removed by jackknife", "error": "over samples and reference"}
        return [ResultRecord(self._about("/corrected", {**protocol, **how}, role="part"), corrected(distance))]

    def _draw_grid(self, images: Tensor) -> None:
        if self.draws_grid and can_be_shown(tuple(images.shape[1:])):
            columns = n_columns(self.config.n_classes or 0)
            raw = "" if self.settings.weights == EMA_WEIGHTS else "-raw"
            name = f"{self.settings.evaluation or 'samples'}-{self.config.n_steps}-steps{raw}.png"
            save_grid(images[: GRID_ROWS * columns], columns, self.run_path / "samples" / name)

    def _about(self, suffix: str, protocol: dict[str, Scalar], role: str = "primary") -> ResultMetadata:
        return self.about(f"{NAME}{suffix}", UNIT, protocol, higher_is_better=False, role=role)


class FrechetEvaluator(SamplingEvaluator):
    """The Fréchet distance of ``sampling`` by itself, without the grid; it runs when it is asked for by name."""

    by_default = False
    draws_grid = False


def _floor_metadata(suffix: str, protocol: dict[str, Scalar]) -> ResultMetadata:
    """Return the metadata of a result that no model takes part in: without steps and weights."""
    return ResultMetadata(f"{NAME}{suffix}", unit=UNIT, protocol=protocol, higher_is_better=False, role="reference")


def _distances(
    samples: NDArray[np.float64], reference: NDArray[np.float64], floor: NDArray[np.float64], groups: NDArray[np.int64]
) -> _Distances:
    of_reference, n = random_groups(len(reference)), len(floor)
    whole = Frechet(samples, reference, groups, of_reference)
    as_many = whole if n == len(samples) else Frechet(samples[:n], reference, groups[:n], of_reference)
    return _Distances(whole, as_many, Frechet(floor, reference, random_groups(n), of_reference))


def _distance(distance: Frechet) -> ScalarResult:
    """Return the distance with the error over its samples, the reference held fixed."""
    without = distance.without_sample_groups()
    return ScalarResult(distance.value(), jackknife_error(without), len(without))


def _raw(distance: Frechet) -> dict[str, Scalar]:
    """Return what the protocol says of a distance that is not corrected for its bias."""
    error = f"{distance.samples.n_groups}-group jackknife, reference fixed"
    return {"bias": "upwards, read the excess", "error": error}


def _excess(samples: Frechet, floor: Frechet) -> ScalarResult:
    """Return the difference of two distances to one reference, its error over samples, real images and reference."""
    parts = (
        samples.without_sample_groups(),
        floor.without_sample_groups(),
        samples.without_reference_groups() - floor.without_reference_groups(),
    )
    error = math.sqrt(sum(jackknife_error(part) ** 2 for part in parts))
    return ScalarResult(samples.value() - floor.value(), error, min(map(len, parts)))
