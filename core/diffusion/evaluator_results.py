"""What the evaluators of an evaluation find: their results as records, each with its source, or why they failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import attrs
from attrs import frozen

from core.config.config import ModelConfig
from core.diffusion.devices import choose_device
from core.diffusion.evaluators.base import RunEvaluator, Settings
from core.diffusion.training.checkpoints import CheckpointError, digest_of
from core.runs.files import read_file
from core.runs.limits import MOST_CHECKPOINT_BYTES
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, ResultSource, Scalar, ScalarResult


class Found(NamedTuple):
    """What an evaluator found.

    Attributes:
        results: Its results.
        time: The time that they took, in seconds.
        how: What else the protocol of the time says.
    """

    results: ResultCollection
    time: ScalarResult
    how: Mapping[str, Scalar] = {}


@frozen
class EvaluatorFailure:
    """An evaluator that failed, its number of sampler steps if it samples, and the exception that it raised."""

    name: str
    n_steps: int | None
    error: Exception

    def __str__(self) -> str:
        steps = "" if self.n_steps is None else f" with n_steps={self.n_steps}"
        notes = "".join(f" ({note})" for note in getattr(self.error, "__notes__", []))
        return f"evaluator {self.name!r}{steps} failed: {type(self.error).__name__}: {self.error}{notes}"


class EvaluationError(RuntimeError):
    """One or more evaluators of an evaluation failed; the message names each and its reason.

    Attributes:
        failures: The evaluators that failed.
        results: The results of the others, which were saved.
    """

    def __init__(self, failures: Sequence[EvaluatorFailure], results: ResultCollection) -> None:
        self.failures = tuple(failures)
        self.results = results
        super().__init__("\n".join(map(str, failures)))


def records_of(name: str, evaluator: Any, config: ModelConfig, settings: Settings, found: Found) -> list[ResultRecord]:
    """Return an evaluator's records and the time it took, each with its source.

    Args:
        name: The evaluator's name.
        evaluator: The evaluator.
        config: The config that it was made with.
        settings: The settings that it was given.
        found: What it found.

    Raises:
        TypeError: It returned something else than a ResultCollection.
        CheckpointError: It reads the checkpoint by itself, and the file changed while it was at work.
    """
    if not isinstance(found.results, ResultCollection):
        raise TypeError(f"evaluator {name!r} returned a {type(found.results).__name__}; accepted: a ResultCollection")
    sampled: dict[str, Any] = {"n_steps": config.n_steps, "n_samples": config.n_samples} if samples(evaluator) else {}
    protocol = {"device": choose_device(settings.device).type, **settings.chosen(), **found.how}
    metadata = ResultMetadata(f"time/eval/{name}", unit="run", protocol=protocol, higher_is_better=False, **sampled)
    source = _source(evaluator, config, settings)
    return [
        attrs.evolve(record, source=record.source or source)
        for record in [*found.results, ResultRecord(metadata, found.time)]
    ]


def _source(evaluator: Any, config: ModelConfig, settings: Settings) -> ResultSource | None:
    """Return what an evaluator's results were measured on; None for a model without a checkpoint."""
    checkpoint = settings.checkpoint
    if checkpoint is None:
        return None
    seed = config.seed if samples(evaluator) else None
    if isinstance(evaluator, RunEvaluator):
        return ResultSource(checkpoint.step, checkpoint.digest, settings.weights, seed)
    # Other evaluators read the checkpoint by themselves: it is known which one only if the file is still the same.
    if digest_of(read_file(str(checkpoint.path), MOST_CHECKPOINT_BYTES)) != checkpoint.digest:
        raise CheckpointError(
            f"{checkpoint.path}: was replaced while an evaluator that reads it by itself was at work; evaluate again "
            "when training has finished, or derive the evaluator from core.diffusion.evaluators.base.RunEvaluator."
        )
    return ResultSource(checkpoint.step, checkpoint.digest, sample_seed=seed)


def samples(evaluator: Any) -> bool:
    """Return whether an evaluator depends on the number of sampler steps; assumed if it does not say."""
    return bool(getattr(evaluator, "uses_sampler", True))
