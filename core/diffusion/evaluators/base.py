"""The base class of evaluators, and the settings that an evaluation gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from attrs import field, frozen
from numpy.typing import NDArray

from core.config.config import ModelConfig
from core.diffusion.datasets.base import ImageData, load_data
from core.diffusion.datasets.fingerprint import fingerprint
from core.diffusion.devices import choose_device
from core.diffusion.evaluators.features import FeatureSpace
from core.diffusion.model import Denoiser
from core.diffusion.trained import denoiser_of, is_denoiser, trained_config
from core.diffusion.training.checkpoint_names import LAST
from core.diffusion.training.checkpoints import EMA_WEIGHTS, Checkpoint, load_checkpoint
from core.utils.progress import Progress, silent
from core.utils.results import ResultCollection, ResultMetadata, Scalar

Values = Mapping[str, NDArray[np.float64]]


def _no_note(_text: str) -> None:
    """Say nothing."""


@frozen
class Settings:
    """The settings of an evaluation that are not in the run's config.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        weights: "ema" for the moving average of the weights, "raw" for the weights of the last step.
        ema_half_life_images: Which moving average, by its half-life in training images; None for the run's first one.
        evaluation: The evaluation's id, under which files are kept; None if an evaluator is used by itself.
        checkpoint: The checkpoint to evaluate, which all evaluators share; None lets an evaluator that is used by
            itself read the run's checkpoint.
        data: The splits of the data set that have been loaded, which all evaluators share.
        features: Name of the feature space in which samples are compared with images.
        spaces: The feature space, once an evaluator has made it; all share it, because it may take long.
        note: Called with a sentence about something that was left out, and why.
        progress: Called with the work done, the total work, and a short text.
    """

    device: str = "auto"
    weights: str = EMA_WEIGHTS
    evaluation: str | None = None
    checkpoint: Checkpoint | None = None
    data: Mapping[str, ImageData] = field(factory=dict)
    progress: Progress = silent
    features: str = "pixels"
    spaces: dict[str, FeatureSpace] = field(factory=dict)
    ema_half_life_images: int | None = None
    note: Callable[[str], None] = _no_note

    def chosen(self) -> dict[str, Scalar]:
        """Return what a protocol says of the weights, where they are not the last checkpoint's first average."""
        name, half_life = LAST if self.checkpoint is None else self.checkpoint.name, self.ema_half_life_images
        about: dict[str, Scalar] = {} if name == LAST else {"checkpoint": name}
        return about if half_life is None else {**about, "ema_half_life_images": half_life}


class RunEvaluator:
    """Base class of the built-in evaluators; a plugin's evaluator may use it.

    An evaluator needs no more than ``__init__(config, run_path)`` and ``evaluate()``. If it has ``prepare()``, that is
    called before ``evaluate`` is timed. This class adds the shared checkpoint, data and settings.

    Args:
        config: The run's config. Fields that change only the evaluation, and the seed, may differ from the saved ones.
        run_path: The run directory.

    Attributes:
        uses_sampler: Whether the results depend on ``n_steps``. If so, it runs once for each requested number of steps.
        by_default: Whether it runs in an evaluation that names no evaluators.
        settings: The settings of the evaluation; ``Evaluator`` sets them.
    """

    uses_sampler: ClassVar[bool] = False
    by_default: ClassVar[bool] = True

    def __init__(self, config: ModelConfig, run_path: str | Path) -> None:
        self.run_path = Path(run_path)
        self.config = trained_config(config, self.run_path)
        self.settings = Settings()

    @classmethod
    def supports(cls, config: ModelConfig) -> bool:
        """Return whether runs of this config can be evaluated; by default, whether the model is a ``Denoiser``."""
        return is_denoiser(config)

    def prepare(self) -> None:
        """Import and load what ``evaluate`` needs: it is called first, and is no part of ``time/eval/NAME``."""

    def evaluate(self) -> ResultCollection:
        """Return the results, each with its error."""
        raise NotImplementedError(f"{type(self).__name__} must define evaluate()")

    def device(self) -> torch.device:
        """Return the device of the evaluation."""
        return choose_device(self.settings.device)

    def denoiser(self) -> Denoiser:
        """Return the run's model with the weights asked for, from the evaluation's checkpoint.

        Raises:
            CheckpointError: There is no checkpoint, or it cannot be used.
        """
        checkpoint = self.settings.checkpoint or load_checkpoint(self.run_path, self.config)
        settings = self.settings
        return denoiser_of(checkpoint, self.config, self.device(), settings.weights, settings.ema_half_life_images)

    def data(self, split: str) -> ImageData:
        """Return one split of the run's data set; see ``core.diffusion.datasets.base.load_data`` for the errors."""
        return self.settings.data.get(split) or load_data(self.config, split)

    def data_protocol(self, data: ImageData) -> dict[str, Scalar]:
        """Return what a protocol says of the images that a result is measured on: data set, split seed, fingerprint."""
        return {
            "dataset": self.data_name(),
            "split_seed": self.config.split_seed,
            "data_fingerprint": fingerprint(data),
        }

    def data_name(self) -> str:
        """Return the name of the data for a protocol: the data set's name and, if there is one, the directory's."""
        directory = self.config.data_dir
        return self.config.dataset if directory is None else f"{self.config.dataset} {Path(directory).name}"

    def metadata(self, name: str, **fields: Any) -> ResultMetadata:
        """Return a result's metadata.

        Results of the raw weights get the suffix ``/raw``. If they are of another checkpoint than the last one, or of
        another moving average than the run's first one, their protocol names it.
        """
        if chosen := self.settings.chosen():
            fields["protocol"] = {**dict(fields.get("protocol", ())), **chosen}
        return ResultMetadata(name if self.settings.weights == EMA_WEIGHTS else f"{name}/raw", **fields)


class PerSample(RunEvaluator):
    """Base of evaluators whose results come from one or more values of each sample.

    Several processes can share such an evaluation (``pyml-eval --shard``): each measures some of the samples. The
    results depend on the values alone, so that they are the same to the bit however the samples were divided.
    """

    def sample_ids(self) -> Sequence[int]:
        """Return the ids of all samples, each once."""
        raise NotImplementedError(f"{type(self).__name__} must define sample_ids()")

    def measure(self, ids: Sequence[int]) -> Values:
        """Return values of these samples by name: float64, of shape ``(len(ids),)``, in the order of ``ids``."""
        raise NotImplementedError(f"{type(self).__name__} must define measure()")

    def results(self, values: Values) -> ResultCollection:
        """Return the results from the values of all samples, in the order of ``sample_ids``."""
        raise NotImplementedError(f"{type(self).__name__} must define results()")

    def evaluate(self) -> ResultCollection:
        """Return the results, each with its error."""
        return self.results(self.measure(self.sample_ids()))


def conditional(denoiser: Denoiser) -> str:
    """Return what a protocol says about the model's output: conditional on the "label", or on "none"."""
    return "label" if denoiser.class_conditional else "none"
