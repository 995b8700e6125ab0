"""How often a sample is of the class that it was asked for."""

import torch

from core.config.config import ModelConfig
from core.diffusion.datasets.base import TRAIN, Batches, load_data
from core.diffusion.evaluators.base import RunEvaluator
from core.diffusion.sampling import generate
from core.utils.meters import Meter
from core.utils.results import ResultCollection, ResultRecord


class LabelAgreement(RunEvaluator):
    """The share of samples whose nearest training image has the class that the sample was asked for."""

    uses_sampler = True

    @classmethod
    def supports(cls, config: ModelConfig) -> bool:
        """Say whether there are samples, of a trained model whose data have classes."""
        return super().supports(config) and config.n_samples > 0 and bool(config.n_classes)

    def evaluate(self) -> ResultCollection:
        """Return "label_agreement", with its standard error over the samples."""
        train = load_data(self.config, TRAIN)
        images, labels = Batches(train, torch.device("cpu")).take(torch.arange(len(train)))
        meter = Meter("agrees")
        for batch in generate(self.denoiser(), self.config, self.config.n_samples, self.device()):
            nearest = torch.cdist(batch.images.flatten(1), images.flatten(1)).argmin(1)
            meter.update(agrees=labels[nearest] == batch.labels)
        metadata = self.metadata(
            "label_agreement",
            n_steps=self.config.n_steps,
            n_samples=self.config.n_samples,
            protocol={"dataset": self.data_name(), "classifier": "1-nearest", "n_train": len(train)},
            higher_is_better=True,
        )
        return ResultCollection([ResultRecord(metadata, meter.result("agrees"))])
