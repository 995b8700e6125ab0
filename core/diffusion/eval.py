"""Evaluate a run with one or more evaluators, and log their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from attrs import frozen

from core import plugins
from core.config.config import ModelConfig, evaluation_fields
from core.config.errors import ConfigError, unknown_name
from core.diffusion.datasets.base import HELD_OUT, SPLITS, TRAIN, ImageData, load_data
from core.diffusion.datasets.fingerprint import check_not_trained_on, fingerprint
from core.diffusion.devices import choose_device
from core.diffusion.evaluators.base import RunEvaluator, Settings
from core.diffusion.trained import is_denoiser, trained_config
from core.diffusion.training.checkpoints import EMA_WEIGHTS, CheckpointError, digest_of, load_checkpoint
from core.runs import Run
from core.utils.progress import Progress
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, ResultSource
from core.utils.utils import Timer


@frozen
class EvaluatorFailure:
    """An evaluator that failed, its number of sampler steps if it samples, and the exception that it raised."""

    name: str
    n_steps: int | None
    error: Exception

    def __str__(self) -> str:
        steps = "" if self.n_steps is None else f" with n_steps={self.n_steps}"
        return f"evaluator {self.name!r}{steps} failed: {type(self.error).__name__}: {self.error}"


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


class Evaluator:
    """Runs evaluators on a run and adds their results to its results.jsonl under one evaluation id.

    Args:
        config: The run's config.
        run_path: The run directory.
        evaluators: Names of evaluators; empty means all built-in ones that support the run.
        n_steps: Numbers of sampler steps: evaluators that sample run once for each. Empty means the config's.
        n_samples: Number of images to sample; None means the config's.
        seed: Seed of the samples' noise; None means the config's.
        changes: Other values for config fields that change only the evaluation, such as ``{"sampler": "euler"}``.
        weights: "ema" for the moving average of the weights, "raw" for the weights of the last step.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        features: Feature space in which samples are compared with images, by its plugin's name.
        progress: Called with the work done, the total work, and a short text.
        note: Called with a sentence about a result that was left out, and why.

    Raises:
        ConfigError: An evaluator or the feature space is unknown or does not support the run, or a field cannot change.
        PluginError: An evaluator cannot be imported.
    """

    def __init__(
        self,
        config: ModelConfig,
        run_path: str | Path,
        *,
        evaluators: Sequence[str] = (),
        n_steps: Sequence[int] = (),
        n_samples: int | None = None,
        seed: int | None = None,
        changes: Mapping[str, Any] | None = None,
        weights: str = EMA_WEIGHTS,
        device: str = "auto",
        features: str = "pixels",
        progress: Progress | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        choose_device(device)  # before anything is written
        plugins.load(plugins.FEATURES, features)
        self.run_path = Path(run_path)
        config = plugins.with_own_fields(config)
        given = {"n_samples": n_samples, "seed": seed}
        self._changes = _checked_changes(config, changes or {})
        changed: dict[str, Any] = {
            **self._changes,
            **{name: value for name, value in given.items() if value is not None},
        }
        self.config = trained_config(attrs.evolve(config, **changed), self.run_path)
        self.n_steps = tuple(dict.fromkeys(n_steps)) or (config.n_steps,)
        self.settings = Settings(device=device, weights=weights, features=features)
        if progress is not None:
            self.settings = attrs.evolve(self.settings, progress=progress)
        if note is not None:
            self.settings = attrs.evolve(self.settings, note=note)
        self._evaluators = [
            (name, config, cls(config, self.run_path))
            for name, cls in self._choose(evaluators).items()
            for config in self._configs(cls)
        ]

    def evaluate(self) -> ResultCollection:
        """Run the evaluators and return all results; each evaluator's are saved before the next one begins.

        The run's checkpoint is read once, and every record names it. An evaluator that fails costs only its own
        results. An evaluation that is interrupted stays incomplete: its records do not count as the run's results.

        Raises:
            CheckpointError: The run's checkpoint is missing, damaged or of another model. Nothing was written.
            ConfigError: The data cannot be used, or held-out images may have been trained on. Nothing was written.
            EvaluationError: One or more evaluators failed. The results of the others were saved and are complete.
        """
        checkpoint = load_checkpoint(self.run_path, self.config) if is_denoiser(self.config) else None
        data = self._checked_data() if is_denoiser(self.config) else {}
        records: list[ResultRecord] = []
        failures: list[EvaluatorFailure] = []
        with Run.open(self.run_path, about=self._asked_for()) as run:
            settings = attrs.evolve(self.settings, evaluation=run.evaluation, checkpoint=checkpoint, data=data)
            for name, config, evaluator in self._evaluators:
                try:
                    found = _timed_results(name, evaluator, config, settings)
                except Exception as error:  # whatever a plugin raises is that evaluator's failure, not the others'
                    failures.append(EvaluatorFailure(name, config.n_steps if _samples(evaluator) else None, error))
                    continue
                for record in found:
                    run.log_record(record)
                    records.append(record)
        if failures:
            raise EvaluationError(failures, ResultCollection(records)) from failures[0].error
        return ResultCollection(records)

    def _checked_data(self) -> dict[str, ImageData]:
        """Return both splits of the data set; ConfigError if the model may have been trained on held-out images."""
        data = {split: load_data(self.config, split) for split in SPLITS}
        train, name, before = data[TRAIN], self.config.dataset, self.config.data_fingerprint
        if before is None:  # a run from before fingerprints: what it was trained on is not known
            return data
        if not getattr(train, "split_by_content", False) and (now := fingerprint(train)) != before:
            raise ConfigError(
                f"data set {name!r}: the training images are not those that the run was trained on (fingerprint {now}, "
                f"in training: {before}), so held-out images may have been trained on. Restore the data."
            )
        check_not_trained_on(train, data[HELD_OUT], name)
        return data

    def _choose(self, names: Sequence[str]) -> dict[str, Any]:
        wanted = names or plugins.in_the_box(plugins.EVALUATORS)
        classes = {name: plugins.load(plugins.EVALUATORS, name) for name in wanted}
        if not names:
            classes = {name: cls for name, cls in classes.items() if getattr(cls, "by_default", True)}
        chosen = {
            name: cls
            for name, cls in classes.items()
            if plugins.find(plugins.EVALUATORS, name).supports(cls, self.config)
        }
        refused = [name for name in names if name not in chosen]
        run = f"a run of model {self.config.model!r} with n_samples={self.config.n_samples}"
        if refused:
            raise ConfigError(f"evaluator {', '.join(map(repr, refused))} cannot serve {run}.")
        if not chosen:
            raise ConfigError(f"no evaluator in the box can serve {run}.")
        for name, cls in chosen.items():
            if self.settings.weights != EMA_WEIGHTS and not issubclass(cls, RunEvaluator):
                raise ConfigError(f"evaluator {name!r} cannot choose the weights; leave out --weights.")
        return chosen

    def _configs(self, cls: Any) -> Iterator[ModelConfig]:
        """Yield the config for each number of sampler steps; only one for an evaluator that does not sample."""
        for n_steps in self.n_steps if _samples(cls) else self.n_steps[:1]:
            yield attrs.evolve(self.config, n_steps=n_steps)

    def _asked_for(self) -> dict[str, Any]:
        return {
            "evaluators": list(dict.fromkeys(name for name, _, _ in self._evaluators)),
            "n_steps": list(self.n_steps),
            "n_samples": self.config.n_samples,
            "seed": self.config.seed,
            "weights": self.settings.weights,
            "features": self.settings.features,
            "changes": self._changes,
            "n_threads": torch.get_num_threads(),
        }


def _checked_changes(config: ModelConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes as a dict; ConfigError if one of the fields changes the trained model, or does not exist."""
    accepted = evaluation_fields(type(config))
    for name in changes:
        if name not in accepted:
            raise unknown_name("field of an evaluation", name, accepted, where="changes")
    return dict(changes)


def _timed_results(name: str, evaluator: Any, config: ModelConfig, settings: Settings) -> list[ResultRecord]:
    """Return an evaluator's records and the time it took, each with its source.

    Args:
        name: The evaluator's name.
        evaluator: The evaluator.
        config: The config that it was made with.
        settings: The settings to give it.

    Raises:
        TypeError: It returned something else than a ResultCollection.
        CheckpointError: It reads the checkpoint by itself, and the file changed while it was at work.
    """
    if isinstance(evaluator, RunEvaluator):
        evaluator.settings = settings
    with plugins.named_in_errors(plugins.EVALUATORS, name):
        if prepare := getattr(evaluator, "prepare", None):
            prepare()
        with Timer(name, sync=True) as timer:
            results = evaluator.evaluate()
    if not isinstance(results, ResultCollection):
        raise TypeError(f"evaluator {name!r} returned a {type(results).__name__}; accepted: a ResultCollection")
    sampled: dict[str, Any] = {"n_steps": config.n_steps, "n_samples": config.n_samples} if _samples(evaluator) else {}
    protocol = {"device": choose_device(settings.device).type}
    metadata = ResultMetadata(f"time/eval/{name}", unit="run", protocol=protocol, higher_is_better=False, **sampled)
    source = _source(evaluator, config, settings)
    return [
        attrs.evolve(record, source=record.source or source)
        for record in [*results, ResultRecord(metadata, timer.result())]
    ]


def _source(evaluator: Any, config: ModelConfig, settings: Settings) -> ResultSource | None:
    """Return what an evaluator's results were measured on; None for a model without a checkpoint."""
    checkpoint = settings.checkpoint
    if checkpoint is None:
        return None
    seed = config.seed if _samples(evaluator) else None
    if isinstance(evaluator, RunEvaluator):
        return ResultSource(checkpoint.step, checkpoint.digest, settings.weights, seed)
    # Other evaluators read the checkpoint by themselves: it is known which one only if the file is still the same.
    if digest_of(checkpoint.path.read_bytes()) != checkpoint.digest:
        raise CheckpointError(
            f"{checkpoint.path}: was replaced while an evaluator that reads it by itself was at work; evaluate again "
            "when training has finished, or derive the evaluator from core.diffusion.evaluators.base.RunEvaluator."
        )
    return ResultSource(checkpoint.step, checkpoint.digest, sample_seed=seed)


def _samples(evaluator: Any) -> bool:
    """Return whether an evaluator depends on the number of sampler steps; assumed if it does not say."""
    return bool(getattr(evaluator, "uses_sampler", True))
