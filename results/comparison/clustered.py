"""Samples that belong together: the test of two single runs, with clustered standard errors."""

from __future__ import annotations

import math
from collections.abc import Collection

import attrs
from attrs import frozen

from core.runs.sample_values import read_clusters
from core.utils.results import ResultMetadata
from results.comparison.measured import Measured
from results.comparison.significance import PAIRED_SAMPLES, ReplicateTest
from results.run import Run
from results.samples import evaluation_of, sample_values
from results.statistics.clusters import ClusteredEstimate, clustered_mean
from results.statistics.intervals import ROUNDING, t_quantile


@frozen
class Clusters:
    """The clusters of the samples that were compared.

    Attributes:
        n_samples: Samples that both runs have values of.
        n_clusters: Clusters among them; the test has n_clusters - 1 degrees of freedom.
        design_effect: Variance of the difference over the one that independent samples would have.
    """

    n_samples: int
    n_clusters: int
    design_effect: float


def clustered_test(
    test: ReplicateTest, a: Measured, b: Measured, level: float
) -> tuple[ReplicateTest, Clusters | None]:
    """Return the test of paired samples with clustered errors; the same test if neither run kept cluster ids.

    If only one run kept them, they hold for both. If the two runs put a sample into different clusters, the test is
    left as it is, with a note.

    Args:
        test: The test of paired samples that treats the samples as independent.
        a: The measure in the first group, which has one run.
        b: The measure in the second group, which has one run.
        level: Coverage of the interval, in (0, 1).

    Returns:
        The test, and the clusters that it allows for, or None.
    """
    sides = [(side.only_run()[0], side.metadata, side.sample_seeds) for side in (a, b)]
    clusters_a, clusters_b = (sample_clusters(*side) for side in sides)
    kept_a, kept_b = (sample_values(*side) for side in sides)
    if not (kept_a and kept_b and (clusters_a or clusters_b)):
        return test, None
    # a sample is the same in both runs, and so is its cluster, even if only one run kept it
    clusters_a, clusters_b = clusters_a or clusters_b or {}, clusters_b or clusters_a or {}
    ids = sorted(kept_a.keys() & kept_b.keys() & clusters_a.keys() & clusters_b.keys())
    if any(clusters_a[i] != clusters_b[i] for i in ids):
        note = "the runs put samples into different clusters, so the clusters are not used"
        return attrs.evolve(test, note=f"{test.note}; {note}" if test.note else note), None
    found = clustered_mean([kept_a[i] - kept_b[i] for i in ids], [clusters_a[i] for i in ids])
    clusters = Clusters(len(ids), found.n_clusters, found.design_effect)
    largest = max((abs(kept[i]) for kept in (kept_a, kept_b) for i in ids), default=0.0)
    error = found.error if found.error > ROUNDING * largest else math.nan
    half = float(t_quantile(level, found.df)) * error if found.df else math.nan
    answer = attrs.evolve(
        test,
        method=f"{PAIRED_SAMPLES}, clustered",
        error=error,
        df=float(found.df),
        ci_low=found.mean - half,
        ci_high=found.mean + half,
        p_value=_two_sided(found.mean, error, found.df),
        counts=None,
    )
    return answer, clusters


def _two_sided(difference: float, error: float, df: int) -> float:
    from scipy.special import stdtr

    return math.nan if math.isnan(error) or df < 1 else 2 * float(stdtr(df, -abs(difference) / error))


def clustered_result(run: Run, metadata: ResultMetadata) -> ClusteredEstimate | None:
    """Return a run's mean over the samples that it kept, with its clustered error; None if it kept no cluster ids."""
    clusters = sample_clusters(run, metadata)
    values = sample_values(run, metadata) if clusters else None
    if not (clusters and values):
        return None
    return clustered_mean([values[i] for i in sorted(values)], [clusters[i] for i in sorted(values)])


def sample_clusters(
    run: Run, metadata: ResultMetadata, sample_seeds: Collection[int | None] | None = None
) -> dict[int, int] | None:
    """Return the cluster of each sample, by sample id, of the newest evaluation that kept them; None if none did.

    Args:
        run: The run.
        metadata: The measure.
        sample_seeds: Take only results of samples that were drawn with one of these seeds; None takes any.
    """
    evaluation = evaluation_of(run, metadata, sample_seeds)
    return None if evaluation is None else read_clusters(run.path, evaluation, metadata)
