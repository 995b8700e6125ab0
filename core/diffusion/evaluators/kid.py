"""KID of samples, in any feature space."""

from __future__ import annotations

from core.diffusion.distances.kid import kid
from core.diffusion.evaluators.base import Values
from core.diffusion.evaluators.samples import SampleEvaluator, random_groups, rounds
from core.utils.results import ResultCollection, ResultRecord

MAX_UNITS = 2000


class KIDEvaluator(SampleEvaluator):
    """KID (Bińkowski et al. 2018) of samples against held-out images: unbiased, so that it needs no floor.

    All pairs are taken. A unit is a round of classes, since samples of one round are not independent: each class has
    its turn; without classes it is a sample. Beyond 2,000 units several make one.
    """

    def results(self, _values: Values) -> ResultCollection:
        """Return "kid"."""
        samples, reference = self.space.of(self.samples()), self.reference()
        n_classes = max(1, self.config.n_classes or 0)
        whole = len(samples) - len(samples) % n_classes if len(samples) >= 2 * n_classes else len(samples)
        units = rounds(whole, n_classes if whole >= 2 * n_classes else 0, MAX_UNITS)
        result = kid(samples[:whole], reference, units, random_groups(len(reference), MAX_UNITS))
        protocol = {
            **self.protocol(),
            **self.sampler(),
            "kernel": "(x.y/d + 1)^3",
            "error": "over samples and reference",
        }
        unit = "round of classes" if n_classes > 1 else "sample"
        return ResultCollection([ResultRecord(self.about("kid", unit, protocol, higher_is_better=False), result)])
