"""Runs that differ only in seed are replicates: grouped here, and summarised with the error over runs.

The replicates of a group are its finished runs, one per seed. Samples within a run are never pooled with runs: five
seeds of 100 samples each are five replicates.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from attrs import frozen

from core.utils.results import ResultMetadata
from results.run import Run
from results.run_files import without_garbage_collection
from results.statistics.intervals import Summary, summarise
from results.text.labels import differing, printable, spell

SEED = "seed"


@frozen
class OverRuns:
    """A measure over the replicates of a group.

    Attributes:
        summary: n, mean, standard error over runs and its t interval; n counts runs, never samples.
        within_error: The typical standard error within one run (root of the mean square), NaN where a run's is unknown.
        n_not_finite: Runs among the n whose own result is NaN or infinite; they make the mean so, too.
        n_lacking: Replicates that have no such result; they are not among the n.
    """

    summary: Summary
    within_error: float
    n_not_finite: int
    n_lacking: int


class Group:
    """Runs that differ only in seed.

    Attributes:
        runs: All of them, whatever their status, oldest first.
        label: What sets the group apart from the others, such as "model=unet, learning_rate=0.001".
    """

    def __init__(self, runs: Iterable[Run], label: str = "") -> None:
        self.runs = tuple(runs)
        self.label = label

    def __repr__(self) -> str:
        return f"Group({self.label!r}, {len(self.runs)} runs)"

    @property
    def config(self) -> dict[str, Any]:
        """The config that the runs share: all but the seed."""
        return {name: value for name, value in self.runs[0].config.items() if name != SEED}

    @cached_property
    def replicates(self) -> dict[Any, Run]:
        """The finished runs by seed; of two with one seed, which repeat each other, the newer."""
        return {seed_of(run): run for run in self.runs if run.status.state == "finished"}

    @property
    def n_repeated(self) -> int:
        """Finished runs left out because a newer one has the same seed."""
        return sum(run.status.state == "finished" for run in self.runs) - len(self.replicates)

    @property
    def left_out(self) -> dict[str, int]:
        """How many runs are no replicates because they are failed, dead, running, ..., by status."""
        return dict(Counter(run.status.state for run in self.runs if run.status.state != "finished"))

    def values(self, metadata: ResultMetadata) -> dict[Any, float]:
        """Return the replicates' means of a measure, by seed."""
        return {
            seed: run.measures[metadata]["mean"] for seed, run in self.replicates.items() if metadata in run.measures
        }

    def measures(self) -> dict[ResultMetadata, int]:
        """Return what was measured in the replicates, with the number of runs that have it."""
        counts: Counter[ResultMetadata] = Counter()
        for run in self.replicates.values():
            counts.update(run.measures.keys())
        return counts

    def over_runs(self, metadata: ResultMetadata, level: float = 0.95) -> OverRuns:
        """Return a measure's mean over the replicates with its error over runs, next to the error within a run."""
        found = [run.measures[metadata] for run in self.replicates.values() if metadata in run.measures]
        errors = [fields["error"] for fields in found]
        return OverRuns(
            summarise([fields["mean"] for fields in found], level),
            math.sqrt(math.fsum(e * e for e in errors) / len(errors)) if errors else math.nan,
            sum(not math.isfinite(fields["mean"]) for fields in found),
            len(self.replicates) - len(found),
        )


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Group runs that differ only in seed, in the order of their first runs; runs without a config are left out."""
    by_config: dict[str, list[Run]] = {}
    with without_garbage_collection():
        for run in runs:
            if run.config:
                by_config.setdefault(_key(run), []).append(run)
    members = list(by_config.values())
    labels = differing([described(runs[0]) for runs in members])
    return [Group(runs, printable(label)) for runs, label in zip(members, labels, strict=True)]


def seed_of(run: Run) -> int | str | None:
    """Return a run's seed, None where it has none; what is no number or text is spelt."""
    seed = run.config.get(SEED)
    return seed if seed is None or isinstance(seed, int | str) else spell(seed)


def seed_order(seed: object) -> tuple[int, float, str]:
    """Return a sort key for seeds: numbers by value, then text, then a missing seed."""
    if isinstance(seed, int | float):
        return 0, seed, ""
    return (2, 0, "") if seed is None else (1, 0, spell(seed))


def described(run: Run) -> dict[str, Any]:
    """Return what sets a run's group apart: its config without the seed, and the versions of its plugins."""
    config = {name: value for name, value in run.config.items() if name != SEED}
    return {**config, **run.versions()}


def _key(run: Run) -> str:
    """Spell what the replicates of a run share, such that equal texts mean equal configs."""
    config = dict(run.config)
    config.pop(SEED, None)
    return json.dumps([config, run.plugins], sort_keys=True)
