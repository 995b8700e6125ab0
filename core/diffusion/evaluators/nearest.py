"""Whether samples are copies: how far they are from the nearest training image."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from core.diffusion.datasets.base import HELD_OUT, TRAIN, ImageData
from core.diffusion.datasets.fingerprint import fingerprint
from core.diffusion.distances.memorisation import memorisation_p_value
from core.diffusion.evaluators.base import Values
from core.diffusion.evaluators.samples import SampleEvaluator
from core.utils.meters import Meter
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, Scalar, ScalarResult

VECTORS_PER_BATCH = 1000
TEST = "one-sided log-rank test against held-out images"


class NearestEvaluator(SampleEvaluator):
    """A check of memorisation: the distance of samples to the nearest training image, and that of held-out images.

    If samples lie nearer to training images than held-out images do, some of them are copies; the p-value is that of a
    one-sided rank test. The distance is Euclidean, per feature (root mean square). The unit is the sample or the image;
    the training images are taken as fixed.
    """

    min_samples = 1

    def prepare(self) -> None:
        """Import also SciPy's functions for the test."""
        super().prepare()
        import scipy.special
        import scipy.stats  # noqa: F401 - only loaded, so that its time is no part of the evaluation's

    def results(self, _values: Values) -> ResultCollection:
        """Return "nearest_distance" of samples, its "memorisation_p" and that of "held_out" images."""
        train = self.data(TRAIN)
        images = self.space.of_data(train, len(train))
        of_samples = nearest_distances(self.space.of(self.samples()), images)
        of_held_out = nearest_distances(self.reference(), images)
        meter = Meter("sample", "held_out")
        meter.update(sample=of_samples)
        meter.update(held_out=of_held_out)
        p_value = ScalarResult(memorisation_p_value(of_samples, of_held_out), math.nan, len(of_samples))
        protocol, held_out = self._protocol(train), fingerprint(self.data(HELD_OUT))
        of_model, n = {**protocol, **self.sampler()}, len(of_held_out)
        about_test = {**of_model, "test": TEST, "n_held_out": n, "held_out": held_out}
        of_images = {**protocol, "n_images": n, "held_out": held_out}
        about_held_out = ResultMetadata("nearest_distance/held_out", unit="image", protocol=of_images, role="reference")
        return ResultCollection(
            [
                ResultRecord(self.about("nearest_distance", "sample", of_model), meter.result("sample")),
                ResultRecord(self.about("nearest_distance/memorisation_p", "sample", about_test, role="part"), p_value),
                ResultRecord(about_held_out, meter.result("held_out")),
            ]
        )

    def _protocol(self, train: ImageData) -> dict[str, Scalar]:
        return {**self.data_protocol(train), **self.space.protocol(), "n_train": len(train)}


def nearest_distances(vectors: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each vector's distance to the nearest of the others, per feature: root mean square, shape ``(n,)``."""
    chunks = torch.split(torch.from_numpy(others), VECTORS_PER_BATCH)
    rows = []
    for batch in torch.split(torch.from_numpy(vectors), VECTORS_PER_BATCH):
        rows.append(torch.stack([torch.cdist(batch, chunk).amin(1) for chunk in chunks]).amin(0))
    return np.asarray(torch.cat(rows).numpy() / math.sqrt(others.shape[1]))
