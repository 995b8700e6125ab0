"""An evaluation in shards: each of several processes measures a range of the samples; the last one merges them.

No process talks to another. They meet in the run's directory, so that shards may run in any order, at any time and on
any machine that can access it. If the process of a shard was killed, only this shard must be made again.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.devices import choose_device
from core.diffusion.eval import Evaluator
from core.diffusion.evaluator_results import Found, samples
from core.diffusion.evaluators.base import Values
from core.runs import shards
from core.runs.shards import Part, Shard, ShardError, share
from core.utils.results import ResultCollection, ScalarResult
from core.utils.utils import Timer

METHODS = ("sample_ids", "measure", "results")


class ShardedEvaluation:
    """The evaluation of an ``Evaluator``, made in shards.

    An evaluator can be shared if it has three methods: ``sample_ids()``, the ids of all its samples; ``measure(ids)``,
    some samples' values by name; and ``results(values)``, the results from the values of all samples in their order.

    Args:
        evaluator: What is evaluated and how.

    Raises:
        ConfigError: One of the evaluators cannot be shared, or the checkpoint or the data cannot be used.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        for name, _, chosen in evaluator.chosen(evaluator.settings):
            if missing := [method for method in METHODS if not callable(getattr(chosen, method, None))]:
                raise ConfigError(
                    f"evaluator {name!r} cannot be split into shards: it has no {missing[0]}(). "
                    f"Evaluate with it in one process: pyml-eval RUN --evaluator {name}."
                )
        self._settings = evaluator.ready()
        checkpoint = self._settings.checkpoint
        asked_for = {key: value for key, value in evaluator.asked_for().items() if key != "n_threads"}
        if "checkpoint" in asked_for:
            asked_for["checkpoint_name"] = asked_for.pop("checkpoint")
        self.setting: dict[str, Any] = {
            **json.loads(json.dumps(asked_for)),
            "device": choose_device(evaluator.settings.device).type,
            "checkpoint": None if checkpoint is None else checkpoint.digest,
            "data_fingerprint": evaluator.config.data_fingerprint,
        }
        self.directory = evaluator.run_path / shards.SHARDS / shards.setting_key(self.setting)

    def measure(self, index: int, of: int) -> Path:
        """Measure share ``index`` (from 1) of ``of`` and write it; return the file.

        Raises:
            ConfigError: The share is out of range.
            Exception: Whatever an evaluator raises; nothing was written.
        """
        if not 1 <= index <= of:
            raise ConfigError(f"shard: got {index}/{of}; accepted: I/N with I from 1 to N.")
        parts = {}
        for name, config, evaluator in self._evaluator.chosen(self._settings):
            with plugins.named_in_errors(plugins.EVALUATORS, name):
                parts[_part_name(name, config, evaluator)] = _measured(name, evaluator, index, of)
        return shards.write_shard(self.directory, Shard(index, of, self.setting, parts))

    def merge(self) -> ResultCollection:
        """Merge the shards, save the results as one evaluation and return them; the shards are then deleted.

        Raises:
            ShardError: A shard or a sample is missing, occurs twice or belongs to something else. Nothing was written.
            EvaluationError: An evaluator failed. The results of the others were saved and are complete.
        """
        found = shards.read_shards(self.directory)
        parts = {}
        for name, config, evaluator in self._evaluator.chosen(self._settings):
            part = _part_name(name, config, evaluator)
            parts[part] = shards.merge_parts(found, part, evaluator.sample_ids())
        of = found[0].of

        def results_of(name: str, config: ModelConfig, evaluator: Any) -> Found:
            part, start_s = parts[_part_name(name, config, evaluator)], time.perf_counter()
            results = evaluator.results(part.values)
            elapsed_s = part.wall_time_s + time.perf_counter() - start_s
            return Found(results, ScalarResult(elapsed_s, math.nan, 1), {"n_shards": of, "time": "sum over shards"})

        about = {**self._evaluator.asked_for(), "n_shards": of}
        results = self._evaluator.log(self._settings, about, results_of)
        shards.mark_merged(self.directory, of)  # not after an error: what was measured is still needed
        return results

    def merge_if_complete(self, of: int) -> ResultCollection | None:
        """Merge the shards if all of them exist and no other process is merging them; return None if not."""
        with contextlib.suppress(BlockingIOError), shards.exclusively(self.directory):
            if not shards.missing_shares(self.directory, of):
                return self.merge()
        return None


def _measured(name: str, evaluator: Any, index: int, of: int) -> Part:
    """Return what an evaluator measures for one share of its samples."""
    if prepare := getattr(evaluator, "prepare", None):
        prepare()
    ids = np.asarray(evaluator.sample_ids(), np.int64)
    mine = share(len(ids), index, of)
    with Timer(name, sync=True) as timer:
        values = evaluator.measure(ids[mine.start : mine.stop].tolist()) if mine else {}
    return Part(ids[mine.start : mine.stop], _checked(name, values, len(mine)), timer.last_s)


def _checked(name: str, values: Values, n: int) -> Values:
    """Return the values as float64 arrays; ShardError if one has not ``n`` of them."""
    arrays = {column: np.asarray(array, np.float64) for column, array in values.items()}
    for column, array in arrays.items():
        if array.shape != (n,):
            raise ShardError(f"evaluator {name!r}: measure() gave {column!r} of shape {array.shape} for {n} samples.")
    return arrays


def _part_name(name: str, config: ModelConfig, evaluator: Any) -> str:
    """Return the name of an evaluator's part of a shard; one that samples has a part for each number of steps."""
    return f"{name}, n_steps={config.n_steps}" if samples(evaluator) else name


def evaluator_of(setting: Mapping[str, Any], config: ModelConfig, run_path: Path, **more: Any) -> Evaluator:
    """Return the Evaluator whose shards have this setting.

    Args:
        setting: The setting of a shard.
        config: The run's config.
        run_path: The run directory.
        **more: ``progress`` and ``note``, see ``Evaluator``.

    Raises:
        ConfigError: The setting cannot be used.
    """
    names = ("evaluators", "n_steps", "n_samples", "seed", "changes", "weights", "features", "device")
    chosen = {"ema_half_life_images": "ema_half_life_images", "checkpoint_name": "checkpoint"}
    more |= {argument: setting[name] for name, argument in chosen.items() if name in setting}
    try:
        asked_for = {name: setting[name] for name in names}
    except KeyError as error:
        raise ShardError(f"shards of an evaluation without {error} in its setting: delete them.") from None
    return Evaluator(config, run_path, **asked_for, **more)
