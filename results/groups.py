"""Groups of runs that differ only in seed. These runs are replicates, so errors are computed over runs.

The replicates of a group are its finished runs, one per seed. Samples within a run are never pooled with runs: five
seeds of 100 samples each are five replicates.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import frozen

from core.runs.fast_config import SEED as SEED
from core.runs.fast_config import Template
from core.utils.results import ResultMetadata
from results.environments import environment_values
from results.over_runs import OverRuns, summarise_results
from results.run import Run
from results.run_files import without_garbage_collection
from results.text.labels import printable, spell
from results.text.short_labels import WIDTH, ShortLabels, distinguishing_fields, short_labels


@frozen
class UnknownSeed:
    """The key of a replicate whose seed is unknown. It differs from the key of every other run."""

    run_id: str

    def __str__(self) -> str:
        return "unknown"


class Group:
    """Runs that differ only in seed.

    Attributes:
        runs: All runs of the group, of any status, oldest first.
        label: The fields in which the group differs from the other groups, such as "model=unet, learning_rate=0.001".
            It may be long; see ``name_groups`` for short labels.
        split_by: Fields of the environment in which the runs also agree.
    """

    def __init__(self, runs: Iterable[Run], label: str = "", split_by: Sequence[str] = ()) -> None:
        self.runs = tuple(runs)
        self.label = label
        self.split_by = tuple(split_by)
        self._with: dict[ResultMetadata, dict[Any, Run]] = {}

    def __repr__(self) -> str:
        return f"Group({self.label!r}, {len(self.runs)} runs)"

    @property
    def config(self) -> dict[str, Any]:
        """The config that the runs share: all fields but the seed."""
        return {name: value for name, value in self.runs[0].config.items() if name != SEED}

    @cached_property
    def _finished(self) -> tuple[tuple[Any, Run], ...]:
        return tuple((_key_of_replicate(run), run) for run in self.runs if run.status.state == "finished")

    @cached_property
    def replicates(self) -> dict[Any, Run]:
        """The finished runs by seed. The newest of several with one seed counts. Every run without a seed counts."""
        return dict(self._finished)

    def replicates_with(self, metadata: ResultMetadata) -> dict[Any, Run]:
        """Return for each seed the newest finished run with a result of this measure that is not stale."""
        if metadata not in self._with:
            found = {key: run for key, run in self._finished if metadata in run.current_measures}
            self._with[metadata] = {key: found[key] for key in self.replicates if key in found}
        return self._with[metadata]

    @cached_property
    def failed(self) -> dict[Any, Run]:
        """The failed experiments: the newest failed run of each seed of which no run has finished.

        A run that failed before its first step does not count: an option was wrong, or the memory was full.
        """
        failed = {_key_of_replicate(run): run for run in self.runs if _failed_in_training(run)}
        return {key: run for key, run in failed.items() if key not in self.replicates}

    @property
    def n_repeated(self) -> int:
        """Number of finished runs that are left out because a newer run has the same seed."""
        return len(self._finished) - len(self.replicates)

    @property
    def left_out(self) -> dict[str, int]:
        """Number of runs that are not replicates because they have not finished, by status."""
        return dict(Counter(run.status.state for run in self.runs if run.status.state != "finished"))

    def values(self, metadata: ResultMetadata) -> dict[Any, float]:
        """Return the replicates' means of a measure, by seed."""
        return {key: run.current_measures[metadata]["mean"] for key, run in self.replicates_with(metadata).items()}

    def measures(self) -> dict[ResultMetadata, int]:
        """Return every measure of the replicates with the number of seeds that have it."""
        seeds: dict[ResultMetadata, set[Any]] = {}
        for key, run in self._finished:
            for metadata in run.current_measures:
                seeds.setdefault(metadata, set()).add(key)
        return {metadata: len(keys) for metadata, keys in seeds.items()}

    def stale_runs(self, measures: Collection[ResultMetadata]) -> list[Run]:
        """Return the replicates that do not count in one of these measures because their newest result is stale.

        A replicate is left out if another run of the same seed has a current result.
        """
        return [
            run
            for key, run in self.replicates.items()
            if any(m in run.stale and key not in self.replicates_with(m) for m in measures)
        ]

    def over_runs(self, metadata: ResultMetadata, level: float = 0.95) -> OverRuns:
        """Return the summary of a measure over the replicates; ``level`` is the coverage of the t interval."""
        runs = self.replicates_with(metadata)
        found = [run.current_measures[metadata] for run in runs.values()]
        if len(runs) == 1:  # the metadata may be another group's, whose kind may differ
            metadata = next(iter(runs.values())).recorded(metadata)
        return summarise_results(metadata, found, len(self.replicates) - len(runs), level)


def group_runs(runs: Iterable[Run], split_by: Sequence[str] = ()) -> list[Group]:
    """Return the groups of runs that differ only in seed, in the order of their first runs.

    Runs without a config are left out. A group is also left out if all of its runs failed before their first step and
    have no results, for example because of a mistyped option.

    Args:
        runs: The runs.
        split_by: Fields of the environment, such as "git_commit", in which the runs of a group must also agree.
    """
    by_config: dict[tuple[str, ...], list[Run]] = {}
    keys: dict[int, str] = {}  # by template, which the runs keep alive
    with without_garbage_collection():
        for run in runs:
            if run.config and (template := run.config_template):
                key = keys.get(id(template)) or keys.setdefault(id(template), _key(template))
                split = environment_values(run, split_by).values() if split_by else ()
                by_config.setdefault((key, *split), []).append(run)
    members = [group for group in by_config.values() if any(not _came_to_nothing(run) for run in group)]
    things = [described(runs[0], split_by) for runs in members]
    fields = distinguishing_fields(things)
    labels = [", ".join(f"{name}={spell(thing[name])}" for name in fields if name in thing) for thing in things]
    return [Group(runs, printable(label), split_by) for runs, label in zip(members, labels, strict=True)]


def name_groups(groups: Sequence[Group], width: int = WIDTH) -> ShortLabels:
    """Return short labels that tell these groups apart, each at most ``width`` characters long."""
    return short_labels([described(group.runs[0], group.split_by) for group in groups], width)


def _came_to_nothing(run: Run) -> bool:
    """Return whether a run failed before its first step. A run that diverged later counts as an experiment."""
    return run.status.state == "failed" and not run.status.step and not run.measures


def _failed_in_training(run: Run) -> bool:
    return run.status.state == "failed" and not _came_to_nothing(run)


def seed_of(run: Run) -> int | str | None:
    """Return a run's seed, or None if it has none. A seed that is neither an integer nor text is returned as text.

    1.0 is the seed 1.
    """
    seed = _plain(run.config.get(SEED))
    is_seed = seed is None or (isinstance(seed, int | str) and not isinstance(seed, bool))
    return seed if is_seed else spell(seed)


def seed_order(seed: object) -> tuple[int, float, str]:
    """Return a sort key for seeds: numbers by value, then text, then a missing seed."""
    if isinstance(seed, int | float):
        return 0, seed, ""
    return (1, 0, seed) if isinstance(seed, str) else (2, 0, "")


def described(run: Run, split_by: Sequence[str] = ()) -> dict[str, Any]:
    """Return the fields that define a group: the config without the seed, the plugins' versions, and ``split_by``."""
    return {**_shared(run.config), **run.versions(), **environment_values(run, split_by)}


def _key_of_replicate(run: Run) -> Any:
    seed = seed_of(run)
    return UnknownSeed(run.id) if seed is None else seed


def _key(template: Template) -> str:
    """Return text that is equal for two templates if and only if their runs belong to one group."""
    return json.dumps([_plain(_shared(template.config)), template.plugins], sort_keys=True)


def _plain(value: Any) -> Any:
    """Return JSON in which equal numbers are written alike: a learning rate of 1.0 is one of 1."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config fields that replicates share.

    The path of the data is left out: the same data may have another path, and the data's fingerprint identifies it.
    """
    return {name: value for name, value in config.items() if name not in {SEED, "data_dir_absolute"}}
