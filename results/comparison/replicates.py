"""The values of the runs in a test over runs, one per run; runs whose result is not finite are left out."""

from __future__ import annotations

import math
from typing import Any

import attrs
from attrs import frozen

from core.utils.results import ResultMetadata
from results.groups import Group
from results.over_runs import OverRuns
from results.statistics.intervals import summarise


@frozen
class Replicates:
    """Values of the runs of two groups, in the order in which the runs were made.

    Attributes:
        a: One value per run of A; of pairs, in the order of the pairs.
        b: One value per run of B.
        seeds: The pairs' seeds; empty where runs are not paired.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    seeds: tuple[Any, ...] = ()

    @property
    def is_paired(self) -> bool:
        """Whether the runs are compared pair by pair."""
        return bool(self.seeds)

    @property
    def differences(self) -> tuple[float, ...]:
        """A - B of each pair."""
        return tuple(x - y for x, y in zip(self.a, self.b, strict=True))


def survivors(group: Group, metadata: ResultMetadata) -> dict[Any, float]:
    """Return the finite values of a group's replicates, by seed: a run that diverged has none."""
    return {seed: value for seed, value in group.values(metadata).items() if math.isfinite(value)}


def over_survivors(group: Group, metadata: ResultMetadata, level: float) -> OverRuns:
    """Return a measure over the runs whose result is finite; ``n_not_finite`` says how many are left out."""
    summary = summarise(list(survivors(group, metadata).values()), level)
    return attrs.evolve(group.over_runs(metadata, level), summary=summary)


def n_failed(group: Group, metadata: ResultMetadata) -> int:
    """Return how many seeds failed: no run of them finished, or the value is not finite."""
    diverged = len(group.values(metadata)) - len(survivors(group, metadata))
    return len(group.failed) + diverged


def survivors_in_order(group: Group, metadata: ResultMetadata) -> tuple[float, ...]:
    """Return the finite values in the order in which the runs were made; run ids begin with the time."""
    values, runs = survivors(group, metadata), group.replicates_with(metadata)
    return tuple(values[seed] for seed in sorted(values, key=lambda seed: runs[seed].id))
