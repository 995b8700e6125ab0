"""The results that a comparison uses: one per replicate, of samples that were drawn with the same seed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import attrs
from attrs import frozen

from core.utils.results import ResultMetadata, ResultRecord, ResultSource
from results.groups import Group
from results.over_runs import OverRuns, summarise_results
from results.run import Run

Fields = Mapping[str, Any]


@frozen
class Measured:
    """A measure in the replicates of a group.

    Attributes:
        group: The group.
        metadata: The measure, as the group has it.
        runs: The runs that have it, by the key of the replicate: the seed, where it is known.
        results: Their results, as the fields of a ScalarResult, by the same keys.
        sources: What was measured, by the same keys; None where it is unknown.
    """

    group: Group
    metadata: ResultMetadata
    runs: dict[Any, Run]
    results: dict[Any, Fields]
    sources: dict[Any, ResultSource | None]

    @property
    def sample_seeds(self) -> frozenset[int | None]:
        """The seeds that the samples were drawn with."""
        return frozenset(map(_sample_seed, self.sources.values()))

    @property
    def values(self) -> dict[Any, float]:
        """The finite means, by the key of the replicate, in the order in which the runs were made."""
        keys = sorted(self.results, key=lambda key: self.runs[key].id)  # run ids begin with the time
        means = {key: self.results[key]["mean"] for key in keys}
        return {key: mean for key, mean in means.items() if math.isfinite(mean)}

    def measurements(self) -> list[tuple[Run, ResultSource | None]]:
        """Return the runs whose result is finite, with what was measured."""
        return [(self.runs[key], self.sources[key]) for key in self.values]

    def only_run(self) -> tuple[Run, Fields]:
        """Return the one run whose result is finite, with its result."""
        (key,) = self.values
        return self.runs[key], self.results[key]

    def only_metadata(self) -> ResultMetadata:
        """Return the metadata as the one run whose result is finite recorded them."""
        return self.only_run()[0].recorded(self.metadata)

    def over_runs(self, keys: Collection[Any], level: float, mean: float | None = None) -> OverRuns:
        """Summarise the replicates with these keys; ``n_not_finite`` counts the group's runs that are not finite.

        ``mean`` replaces the mean, where the test compared only some samples of the run.
        """
        found = [fields for key, fields in self.results.items() if key in keys]
        n_lacking = len(self.group.replicates) - len(self.results)
        n_not_finite = len(self.results) - len(self.values)
        metadata = self.only_metadata() if len(self.values) == 1 else self.metadata
        over = attrs.evolve(summarise_results(metadata, found, n_lacking, level), n_not_finite=n_not_finite)
        return over if mean is None else attrs.evolve(over, summary=attrs.evolve(over.summary, mean=mean))


def compared_values(a: Measured, b: Measured, *, paired: bool) -> tuple[dict[Any, float], dict[Any, float]]:
    """Return the values that a test over runs compares; of pairs, those of the seeds that both have, in one order."""
    values_a, values_b = a.values, b.values
    if not paired:
        return values_a, values_b
    shared = [key for key in values_a if key in values_b]
    shared.sort(key=lambda key: max(a.runs[key].id, b.runs[key].id))
    return {key: values_a[key] for key in shared}, {key: values_b[key] for key in shared}


def measured(a: Group, of_a: ResultMetadata, b: Group, of_b: ResultMetadata) -> tuple[Measured, Measured, str]:
    """Return the results of two groups that belong together, and what a reader must know of the choice, or "".

    The newest results count. If they are of samples drawn with different seeds, and every run also has a result of one
    seed, the results of that seed count: runs with other noise would not be comparable sample by sample.

    Args:
        a: The first group.
        of_a: The measure, as the first group has it.
        b: The second group.
        of_b: The measure, as the second group has it.
    """
    sides = _newest(a, of_a), _newest(b, of_b)
    drawn = sides[0].sample_seeds | sides[1].sample_seeds
    if len(drawn) < 2:
        return *sides, ""
    tables = [{key: _by_sample_seed(run, side.metadata) for key, run in side.runs.items()} for side in sides]
    shared = set.intersection(*(set(found) for table in tables for found in table.values())) - {None}
    if not shared:
        named = ", ".join(sorted("unknown" if seed is None else str(seed) for seed in drawn))
        return *sides, f"the samples were drawn with different seeds ({named})"
    seed = min(seed for seed in shared if seed is not None)
    chosen = [
        attrs.evolve(
            side,
            results={key: attrs.asdict(found[seed].result) for key, found in table.items()},
            sources={key: found[seed].source for key, found in table.items()},
        )
        for side, table in zip(sides, tables, strict=True)
    ]
    return chosen[0], chosen[1], f"samples of seed {seed} only; some runs were evaluated later with another seed"


def _newest(group: Group, metadata: ResultMetadata) -> Measured:
    runs = group.replicates_with(metadata)
    results = {key: run.current_measures[metadata] for key, run in runs.items()}
    return Measured(group, metadata, runs, results, {key: run.sources.get(metadata) for key, run in runs.items()})


def _by_sample_seed(run: Run, metadata: ResultMetadata) -> dict[int | None, ResultRecord]:
    """Return the newest complete record for each seed of the samples; those that are stale do not count."""
    return {_sample_seed(entry.record.source): entry.record for entry in run.complete_entries(metadata)}


def _sample_seed(source: ResultSource | None) -> int | None:
    return None if source is None else source.sample_seed
