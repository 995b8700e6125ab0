"""Seeds × shared samples: a comparison over new seeds and new samples, from the values that each run kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from results.comparison.clustered import sample_clusters
from results.comparison.comparison import Comparison
from results.comparison.findings import TwoLevels
from results.comparison.measured import Measured
from results.samples import Values, have_mean_of, sample_values
from results.statistics.clusters import cluster_columns
from results.statistics.intervals import ROUNDING
from results.statistics.two_level import TwoLevelEstimate, two_level_difference, two_level_mean


def two_levels(one: Comparison) -> TwoLevels | None:
    """Return the two-level estimate; None unless every run of a comparison over runs kept values of shared samples."""
    values_a, values_b = _kept(one.measured_a), _kept(one.measured_b)
    if values_a is None or values_b is None:
        return None
    if one.test.is_paired:
        seeds = [seed for seed in values_a if seed in values_b]
        values_a, values_b = ({seed: values[seed] for seed in seeds} for values in (values_a, values_b))
    ids = sorted(set.intersection(*(set(found) for values in (values_a, values_b) for found in values.values())))
    if min(len(values_a), len(values_b), len(ids)) < 2:
        return None
    a, b = _matrix(list(values_a.values()), ids), _matrix(list(values_b.values()), ids)
    clusters = _shared_clusters([(one.measured_a, values_a), (one.measured_b, values_b)], ids)
    if clusters is not None:
        a, b = cluster_columns(a, clusters), cluster_columns(b, clusters)
        if a.shape[1] < 2:
            return None
    found = two_level_mean(a - b, one.test_level) if one.test.is_paired else two_level_difference(a, b, one.test_level)
    if not float(found.error) > ROUNDING * max(np.abs(a).max(), np.abs(b).max()):
        return None
    sides = ((one.measured_a, values_a), (one.measured_b, values_b))
    agree = all(have_mean_of(kept, side.results[seed]) for side, values in sides for seed, kept in values.items())
    made = _two_levels(found, len(a), len(b), len(ids), None if clusters is None else a.shape[1])
    return None if made is None else attrs.evolve(made, means_agree=agree)


def _kept(side: Measured) -> dict[Any, Values] | None:
    """Return each finite replicate's values by sample; None as soon as one kept none."""
    kept = {}
    for seed in side.values:
        found = sample_values(side.runs[seed], side.metadata, side.sample_seeds)
        if not found:
            return None
        kept[seed] = found
    return kept or None


def _shared_clusters(sides: Sequence[tuple[Measured, dict[Any, Values]]], ids: Sequence[int]) -> list[int] | None:
    """Return the cluster of each sample; None unless every run kept clusters, and the same ones."""
    found: list[int] | None = None
    for side, values in sides:
        for seed in values:
            clusters = sample_clusters(side.runs[seed], side.metadata, side.sample_seeds)
            if not clusters or not clusters.keys() >= set(ids):
                return None
            of_run = [clusters[i] for i in ids]
            if found is not None and of_run != found:
                return None
            found = of_run
    return found


def _matrix(runs: Sequence[Values], ids: Sequence[int]) -> NDArray[np.float64]:
    return np.array([[values[i] for i in ids] for values in runs])


def _two_levels(
    found: TwoLevelEstimate, n_a: int, n_b: int, n_samples: int, n_clusters: int | None
) -> TwoLevels | None:
    variance = float(found.error) ** 2
    if not variance > 0:
        return None
    parts = [float(part) / variance for part in (found.seed_part, found.sample_part, found.residual_part)]
    return TwoLevels(
        n_a,
        n_b,
        n_samples,
        difference=float(found.estimate),
        error=float(found.error),
        ci_low=float(found.ci_low),
        ci_high=float(found.ci_high),
        p_value=float(found.p_value),
        from_seeds=parts[0],
        from_samples=parts[1],
        from_both=parts[2],
        more_helps=found.more_helps,
        n_clusters=n_clusters,
    )
