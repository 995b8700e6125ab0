"""How often a sample is of the class that it was asked for."""

from collections.abc import Sequence

import torch

from core.config.config import ModelConfig
from core.diffusion.datasets.base import TRAIN, Batches
from core.diffusion.evaluators.base import PerSample, Values
from core.diffusion.sampling import generate
from core.utils.meters import Meter
from core.utils.results import ResultCollection, ResultRecord


class LabelAgreement(PerSample):
    """The share of samples whose nearest training image has the class that the sample was asked for.

    ``evaluate`` of the base class measures all samples; ``pyml-eval --shard`` measures some in each process.
    """

    uses_sampler = True

    @classmethod
    def supports(cls, config: ModelConfig) -> bool:
        """Say whether there are samples, of a trained model whose data have classes."""
        return super().supports(config) and config.n_samples > 0 and bool(config.n_classes)

    def sample_ids(self) -> range:
        """Return the indices of the samples."""
        return range(self.config.n_samples)

    def measure(self, ids: Sequence[int]) -> Values:
        """Return "agrees", 1 for a sample of the class that it was asked for and 0 for another."""
        train = self.data(TRAIN)
        images, labels = Batches(train, torch.device("cpu")).take(torch.arange(len(train)))
        found = []
        for batch in generate(self.denoiser(), self.config, ids[-1] + 1, self.device(), start=ids[0]):
            nearest = torch.cdist(batch.images.flatten(1), images.flatten(1)).argmin(1)
            found.append(labels[nearest] == batch.labels)
        return {"agrees": torch.cat(found).double().numpy()}

    def results(self, values: Values) -> ResultCollection:
        """Return "label_agreement", with its standard error over the samples."""
        meter = Meter()
        meter.update(agrees=values["agrees"])
        metadata = self.metadata(
            "label_agreement",
            n_steps=self.config.n_steps,
            n_samples=self.config.n_samples,
            protocol={"dataset": self.data_name(), "classifier": "1-nearest", "n_train": len(self.data(TRAIN))},
            higher_is_better=True,
            kind="proportion",
        )
        return ResultCollection([ResultRecord(metadata, meter.result("agrees"))])
