"""Evaluate a run: each evaluator asked for, its records logged as they come, its time beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.devices import choose_device
from core.diffusion.evaluators.base import RunEvaluator, Settings
from core.diffusion.trained import is_denoiser, trained_config
from core.diffusion.training.checkpoints import EMA_WEIGHTS, load_checkpoint
from core.runs.evaluations import finish_evaluation, start_evaluation
from core.utils.progress import Progress
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, log_record
from core.utils.utils import Timer


class Evaluator:
    """Runs evaluators on a run and adds their results to its results.jsonl under one evaluation id.

    Args:
        config: The run's config.
        run_path: The run directory.
        evaluators: Their names; none means all those in the box that support the run.
        n_steps: Sampler steps, each of which an evaluator that samples is run with; none means the config's.
        n_samples: Images to sample; None means the config's.
        seed: Seed of the samples' noise; None means the config's.
        weights: "ema" for the moving average of the weights, "raw" for the weights themselves.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: Called with the work done, the work in all, and a word.

    Raises:
        ConfigError: An unknown evaluator, or one that the run cannot serve.
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
        weights: str = EMA_WEIGHTS,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> None:
        choose_device(device)  # before anything is written
        self.run_path = Path(run_path)
        given = {"n_samples": n_samples, "seed": seed}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.config = trained_config(attrs.evolve(plugins.with_own_fields(config), **changes), self.run_path)
        self.n_steps = tuple(dict.fromkeys(n_steps)) or (config.n_steps,)
        self.settings = Settings(device=device, weights=weights)
        if progress is not None:
            self.settings = attrs.evolve(self.settings, progress=progress)
        self._evaluators = [
            (name, config, cls(config, self.run_path))
            for name, cls in self._choose(evaluators).items()
            for config in self._configs(cls)
        ]

    def evaluate(self) -> ResultCollection:
        """Return all results; each was saved before the next evaluator began.

        The records count as the run's results once all are there: an evaluation that was cut short stays incomplete.

        Raises:
            CheckpointError: The run's checkpoint is missing, damaged or of another model; nothing was written.
        """
        if is_denoiser(self.config):
            load_checkpoint(self.run_path, self.config)  # a run without one is refused before anything is written
        evaluation = start_evaluation(self.run_path, self._asked_for())
        settings = attrs.evolve(self.settings, evaluation=evaluation)
        records: list[ResultRecord] = []
        for name, config, evaluator in self._evaluators:
            for record in _timed_results(name, evaluator, config, settings):
                log_record(record, self.run_path, evaluation=evaluation)
                records.append(record)
        finish_evaluation(self.run_path, evaluation, len(records))
        return ResultCollection(records)

    def _choose(self, names: Sequence[str]) -> dict[str, Any]:
        wanted = names or plugins.in_the_box(plugins.EVALUATORS)
        classes = {name: plugins.load(plugins.EVALUATORS, name) for name in wanted}
        if not names:
            classes = {name: cls for name, cls in classes.items() if getattr(cls, "by_default", True)}
        chosen = {name: cls for name, cls in classes.items() if _supports(cls, self.config)}
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
        """Yield the config for each number of steps; one is enough where they make no difference."""
        for n_steps in self.n_steps if _samples(cls) else self.n_steps[:1]:
            yield attrs.evolve(self.config, n_steps=n_steps)

    def _asked_for(self) -> dict[str, Any]:
        return {
            "evaluators": list(dict.fromkeys(name for name, _, _ in self._evaluators)),
            "n_steps": list(self.n_steps),
            "n_samples": self.config.n_samples,
            "seed": self.config.seed,
            "weights": self.settings.weights,
        }


def _supports(cls: Any, config: ModelConfig) -> bool:
    return bool(cls.supports(config)) if hasattr(cls, "supports") else True


def _timed_results(name: str, evaluator: Any, config: ModelConfig, settings: Settings) -> Iterator[ResultRecord]:
    """Yield an evaluator's records, then the time it took."""
    if isinstance(evaluator, RunEvaluator):
        evaluator.settings = settings
    with Timer(name, sync=True) as timer:
        results = evaluator.evaluate()
    if not isinstance(results, ResultCollection):
        raise TypeError(f"evaluator {name!r} returned a {type(results).__name__}; accepted: a ResultCollection")
    yield from results
    sampled: dict[str, Any] = {"n_steps": config.n_steps, "n_samples": config.n_samples} if _samples(evaluator) else {}
    protocol = {"device": choose_device(settings.device).type}
    metadata = ResultMetadata(f"time/eval/{name}", unit="run", protocol=protocol, higher_is_better=False, **sampled)
    yield ResultRecord(metadata, timer.result())


def _samples(evaluator: Any) -> bool:
    """Say whether the number of steps matters to an evaluator; to one that does not say, it does."""
    return bool(getattr(evaluator, "uses_sampler", True))
