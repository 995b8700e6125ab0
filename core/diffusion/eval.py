"""Evaluate a run with one or more evaluators, and log their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError, unknown_name
from core.config.fields import evaluation_fields
from core.diffusion.datasets.base import HELD_OUT, SPLITS, TRAIN, ImageData, load_data
from core.diffusion.datasets.fingerprint import check_fits, check_not_trained_on, fingerprint
from core.diffusion.devices import choose_device
from core.diffusion.evaluator_results import EvaluationError as EvaluationError  # also importable from here
from core.diffusion.evaluator_results import EvaluatorFailure, Found, records_of, samples
from core.diffusion.evaluators.base import RunEvaluator, Settings
from core.diffusion.trained import is_denoiser, other_average, trained_config
from core.diffusion.training.checkpoint_names import LAST, checkpoint_path
from core.diffusion.training.checkpoints import EMA_WEIGHTS, load_checkpoint
from core.runs import Run
from core.runs.tracking import Tracker, guarded
from core.utils.progress import Progress
from core.utils.results import ResultCollection, ResultRecord
from core.utils.utils import Timer

Work = Callable[[str, ModelConfig, Any], Found]


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
        ema_half_life_images: Which moving average, by its half-life in training images, of a run that has several; None
            for its first one.
        checkpoint: Which of the run's checkpoints: "last", "best" or "step-N".
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        features: Feature space in which samples are compared with images, by its plugin's name.
        progress: Called with the work done, the total work, and a short text.
        note: Called with a sentence about a result that was left out, and why.
        trackers: See ``core.runs.Run``.

    Raises:
        ConfigError: An evaluator or the feature space is unknown or does not support the run, a field cannot change, or
            there is no such moving average or no checkpoint of this name.
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
        ema_half_life_images: int | None = None,
        checkpoint: str = LAST,
        device: str = "auto",
        features: str = "pixels",
        progress: Progress | None = None,
        note: Callable[[str], None] | None = None,
        trackers: Sequence[Tracker | str] | None = None,
    ) -> None:
        choose_device(device)  # before anything is written
        plugins.load(plugins.FEATURES, features)
        self._trackers = guarded(trackers)
        self.run_path = Path(run_path)
        config = plugins.with_own_fields(config)
        given = {"n_samples": n_samples, "seed": seed, "n_steps": n_steps[0] if n_steps else None}
        self._changes = _checked_changes(config, changes or {})
        changed: dict[str, Any] = {
            **self._changes,
            **{name: value for name, value in given.items() if value is not None},
        }
        self.config = trained_config(attrs.evolve(config, **changed), self.run_path)
        self.n_steps = tuple(dict.fromkeys(n_steps)) or (config.n_steps,)
        ema_half_life_images = other_average(self.config, weights, ema_half_life_images)
        checkpoint_path(run_path, checkpoint)  # its name is checked before anything is written
        self._checkpoint_name = checkpoint
        self.settings = Settings(device, weights, features=features, ema_half_life_images=ema_half_life_images)
        if progress is not None:
            self.settings = attrs.evolve(self.settings, progress=progress)
        if note is not None:
            self.settings = attrs.evolve(self.settings, note=note)
        self._evaluators: list[tuple[str, ModelConfig, Any]] = []
        for name, cls in self._choose(evaluators).items():
            with plugins.named_in_errors(plugins.EVALUATORS, name):
                self._evaluators += [(name, config, cls(config, self.run_path)) for config in self._configs(cls)]

    def evaluate(self) -> ResultCollection:
        """Run the evaluators and return all results; each evaluator's are saved before the next one begins.

        The run's checkpoint is read once, and every record names it. If an evaluator fails, only its own results are
        missing. An evaluation that is interrupted stays incomplete: its records do not count as the run's results.

        Raises:
            CheckpointError: The run's checkpoint is missing, damaged or of another model. Nothing was written.
            ConfigError: The data cannot be used, or held-out images may have been trained on. Nothing was written.
            EvaluationError: One or more evaluators failed. The results of the others were saved and are complete.
        """
        return self.log(self.ready(), self.asked_for(), _evaluate)

    def ready(self) -> Settings:
        """Return the settings with the run's checkpoint and data, which all evaluators share.

        Raises:
            CheckpointError, ConfigError: See ``evaluate``.
        """
        if not is_denoiser(self.config):
            return self.settings
        checkpoint = load_checkpoint(self.run_path, self.config, self._checkpoint_name)
        return attrs.evolve(self.settings, checkpoint=checkpoint, data=self._checked_data(), spaces={})

    def chosen(self, settings: Settings) -> Iterator[tuple[str, ModelConfig, Any]]:
        """Yield the name, config and object of each evaluator; one that samples comes once per number of steps."""
        for name, config, evaluator in self._evaluators:
            if isinstance(evaluator, RunEvaluator):
                evaluator.settings = settings
            yield name, config, evaluator

    def log(self, settings: Settings, about: Mapping[str, Any], work: Work) -> ResultCollection:
        """Save what ``work`` finds for each evaluator, under one new evaluation, and return it.

        Args:
            settings: See ``ready``.
            about: What is evaluated and how; kept in ``evaluations/<id>.json``.
            work: Called with an evaluator's name, config and object; returns its results and the time that they took.

        Raises:
            EvaluationError: See ``evaluate``.
        """
        records: list[ResultRecord] = []
        failures: list[EvaluatorFailure] = []
        with Run.open(self.run_path, about=about, trackers=self._trackers) as run:
            settings = attrs.evolve(settings, evaluation=run.evaluation)
            for name, config, evaluator in self.chosen(settings):
                try:
                    with plugins.named_in_errors(plugins.EVALUATORS, name):
                        found = work(name, config, evaluator)
                    new = records_of(name, evaluator, config, settings, found)
                except Exception as error:  # whatever a plugin raises is that evaluator's failure, not the others'
                    failures.append(EvaluatorFailure(name, config.n_steps if samples(evaluator) else None, error))
                    continue
                for record in new:
                    run.log_record(record)
                    records.append(record)
        if failures:
            raise EvaluationError(failures, ResultCollection(records)) from failures[0].error
        return ResultCollection(records)

    def _checked_data(self) -> dict[str, ImageData]:
        """Return both splits of the data set; ConfigError if the model may have been trained on held-out images."""
        data = {split: load_data(self.config, split) for split in SPLITS}
        for images in data.values():
            check_fits(images, self.config)
        train, name, before = data[TRAIN], self.config.dataset, self.config.data_fingerprint
        if before is None:  # a run from before fingerprints: what it was trained on is not known
            return data
        if not getattr(train, "split_by_content", False) and (now := fingerprint(train)) != before:
            raise ConfigError(
                f"data set {name!r}: the training images are not those that the run was trained on (fingerprint {now}, "
                f"in training: {before}), so held-out images may have been trained on. Restore the data."
            )
        if self.config.validation_share:  # images that chose the checkpoint count as trained on
            train = load_data(attrs.evolve(self.config, validation_share=0.0), TRAIN)
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
            raise ConfigError(f"evaluator {', '.join(map(repr, refused))} cannot evaluate {run}.")
        if not chosen:
            raise ConfigError(f"no built-in evaluator can evaluate {run}. Name one of a plugin with --evaluator.")
        for name, cls in chosen.items():
            chooses = (self.settings.weights, self.settings.ema_half_life_images, self._checkpoint_name)
            if chooses != (EMA_WEIGHTS, None, LAST) and not issubclass(cls, RunEvaluator):
                raise ConfigError(
                    f"evaluator {name!r} cannot choose the weights; leave out --weights, --ema-half-life-images and "
                    "--checkpoint."
                )
        return chosen

    def _configs(self, cls: Any) -> Iterator[ModelConfig]:
        """Yield the config for each number of sampler steps; only one for an evaluator that does not sample."""
        for n_steps in self.n_steps if samples(cls) else self.n_steps[:1]:
            yield attrs.evolve(self.config, n_steps=n_steps)

    def asked_for(self) -> dict[str, Any]:
        """Return what was asked for, as ``evaluations/<id>.json`` keeps it."""
        half_life = self.settings.ema_half_life_images
        return {
            "evaluators": list(dict.fromkeys(name for name, _, _ in self._evaluators)),
            "n_steps": list(self.n_steps),
            "n_samples": self.config.n_samples,
            "seed": self.config.seed,
            "weights": self.settings.weights,
            "features": self.settings.features,
            "changes": self._changes,
            **({} if half_life is None else {"ema_half_life_images": half_life}),
            **({} if self._checkpoint_name == LAST else {"checkpoint": self._checkpoint_name}),
            "n_threads": torch.get_num_threads(),
        }


def _checked_changes(config: ModelConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes as a dict; ConfigError if one of the fields changes the trained model, or does not exist."""
    accepted = evaluation_fields(type(config))
    for name in changes:
        if name not in accepted:
            raise unknown_name("field of an evaluation", name, accepted, where="changes")
    return dict(changes)


def _evaluate(name: str, _config: ModelConfig, evaluator: Any) -> Found:
    """Return an evaluator's results and the time that ``evaluate`` took, without imports and loading of data."""
    if prepare := getattr(evaluator, "prepare", None):
        prepare()
    with Timer(name, sync=True) as timer:
        results = evaluator.evaluate()
    return Found(results, timer.result())
