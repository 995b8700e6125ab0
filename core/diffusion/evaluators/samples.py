"""What evaluators of samples share: the samples themselves, their features, and the real images beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import HELD_OUT, TRAIN
from core.diffusion.datasets.fingerprint import fingerprint
from core.diffusion.evaluators.base import PerSample, Values
from core.diffusion.evaluators.features import PIXELS, FeatureSpace
from core.diffusion.sample_store import SampleStore
from core.diffusion.sampling import sampler_protocol
from core.diffusion.training.checkpoints import load_checkpoint
from core.utils.results import ResultCollection, ResultMetadata, Scalar

MAX_GROUPS = 20
Groups = NDArray[np.int64]


class SampleEvaluator(PerSample):
    """Base of evaluators of samples: they are made once for each setting, whichever evaluator comes first.

    Attributes:
        min_samples: Fewest samples that it can work with.
    """

    uses_sampler = True
    min_samples: ClassVar[int] = 2

    @classmethod
    def supports(cls, config: ModelConfig) -> bool:
        """Return whether the run has a model to sample from and enough samples are asked for."""
        return super().supports(config) and config.n_samples >= cls.min_samples

    def __init__(self, config: ModelConfig, run_path: str | Path) -> None:
        super().__init__(config, run_path)
        if config.n_samples < self.min_samples:
            raise ConfigError(
                f"n_samples: got {config.n_samples}; {type(self).__name__} needs at least {self.min_samples}, "
                "0 leaves it out."
            )

    def prepare(self) -> None:
        """Load the feature space, which may be made from the training images or from a file."""
        super().prepare()
        _ = self.space

    def sample_ids(self) -> range:
        """Return the indices of the samples."""
        return range(self.config.n_samples)

    def measure(self, ids: Sequence[int]) -> Values:
        """Make these samples, of consecutive indices. Their values are the samples themselves, which the run keeps."""
        self._store().make(self.denoiser(), range(ids[0], ids[-1] + 1), self.settings.progress)
        return {}

    def evaluate(self) -> ResultCollection:
        """Return the results, each with its error; ``samples`` makes the samples that are missing."""
        return self.results({})

    def samples(self) -> Tensor:
        """Return the samples, float32 of shape ``(n_samples, *data_shape)``, on the CPU.

        Raises:
            CheckpointError: There is no checkpoint, or it cannot be used.
        """
        return self._store().samples(self.denoiser(), self.config.n_samples, self.settings.progress)

    def _store(self) -> SampleStore:
        settings = self.settings
        digest = (settings.checkpoint or load_checkpoint(self.run_path, self.config)).digest
        return SampleStore(
            self.run_path, self.config, digest, settings.weights, self.device(), settings.ema_half_life_images
        )

    @property
    def space(self) -> FeatureSpace:
        """The feature space that was asked for."""
        name, spaces = self.settings.features, self.settings.spaces
        if name not in spaces:
            spaces[name] = FeatureSpace(name, self.config, self.device())
        return spaces[name]

    def reference(self) -> NDArray[np.float64]:
        """Return the features of the held-out images."""
        held_out = self.data(HELD_OUT)
        return self.space.of_data(held_out, len(held_out))

    def protocol(self) -> dict[str, Scalar]:
        """Return what every distance to the held-out images depends on, whatever the model."""
        held_out = self.data(HELD_OUT)
        protocol: dict[str, Scalar] = {
            **self.data_protocol(held_out),
            **self.space.protocol(),
            "n_reference": len(held_out),
            "reference": HELD_OUT,
        }
        if self.space.name != PIXELS:  # it may have been made from the training images
            protocol["features_fingerprint"] = fingerprint(self.data(TRAIN))
        return protocol

    def sampler(self) -> dict[str, Scalar]:
        """Return what a protocol says of the samples: their number and the sampler."""
        return {"n_samples": self.config.n_samples, **sampler_protocol(self.config)}

    def about(self, name: str, unit: str, protocol: dict[str, Scalar], **fields: object) -> ResultMetadata:
        """Return the metadata of a result about the samples, with the config's numbers of steps and samples.

        Args:
            name: Name of the measure; results of the raw weights get the suffix ``/raw``.
            unit: Unit of the values.
            protocol: What the result depends on besides the model; only results with equal protocols are compared.
            **fields: Other fields of the ResultMetadata, such as ``higher_is_better``.
        """
        steps = {"n_steps": self.config.n_steps, "n_samples": self.config.n_samples}
        return self.metadata(name, **steps, unit=unit, protocol=protocol, **fields)


def rounds(n_samples: int, n_classes: int | None, at_most: int = MAX_GROUPS) -> Groups:
    """Return the groups of the samples. Each has whole rounds of classes, so that all groups have the same classes."""
    groups: Groups = np.arange(n_samples) // max(1, n_classes or 0) % at_most
    return groups


def random_groups(n: int, at_most: int = MAX_GROUPS) -> Groups:
    """Return the groups of real images, from a fixed random order, because the data may be sorted."""
    groups: Groups = np.random.RandomState(0).permutation(n) % at_most
    return groups
