"""Precision and recall of samples, in any feature space."""

from __future__ import annotations

from core.diffusion.distances.precision_recall import K_NEAREST, precision_recall
from core.diffusion.evaluators.base import Values
from core.diffusion.evaluators.samples import SampleEvaluator, random_groups, rounds
from core.utils.results import ResultCollection, ResultRecord


class PrecisionRecallEvaluator(SampleEvaluator):
    """Precision and recall (Kynkäänniemi et al. 2019) of samples against held-out images."""

    min_samples = K_NEAREST + 2

    def results(self, _values: Values) -> ResultCollection:
        """Return "precision" and "recall"."""
        samples, reference = self.space.of(self.samples()), self.reference()
        groups = rounds(len(samples), self.config.n_classes), random_groups(len(reference))
        found = precision_recall(samples, reference, *groups)
        protocol = {
            **self.protocol(),
            **self.sampler(),
            "k_nearest": K_NEAREST,
            "error": "over samples and reference",
        }
        return ResultCollection(
            ResultRecord(self.about(name, unit, protocol, higher_is_better=True, kind="proportion"), result)
            for name, unit, result in (("precision", "sample", found.precision), ("recall", "image", found.recall))
        )
