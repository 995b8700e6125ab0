"""Standard errors of samples that belong together: several draws of one image, several questions of one text.

Samples of one cluster carry less information than as many independent ones: their values are correlated.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class ClusteredEstimate(NamedTuple):
    """A mean with its clustered standard error.

    Attributes:
        mean: Over all values, whatever their cluster.
        error: Clustered standard error; NaN (unknown) for fewer than two clusters.
        n_clusters: Distinct clusters, C.
        df: Degrees of freedom of an interval: C - 1.
        plain_error: The standard error that assumes independent values.
    """

    mean: float
    error: float
    n_clusters: int
    df: int
    plain_error: float

    @property
    def design_effect(self) -> float:
        """How much the variance of the mean exceeds that of independent values; NaN where either is unknown or 0."""
        return (self.error / self.plain_error) ** 2 if self.plain_error > 0 else math.nan


def clustered_mean(values: ArrayLike, cluster_ids: ArrayLike) -> ClusteredEstimate:
    """Return the mean of values with a standard error that allows for clusters.

    Args:
        values: Shape ``(n,)``: one value per sample; for a paired comparison, the samples' differences.
        cluster_ids: Shape ``(n,)``: the cluster of each sample; values with equal ids belong together.

    Raises:
        ValueError: The two have different shapes, or none.

    Source: Miller 2024, "Adding error bars to evals", arXiv:2411.00640, section 2.2 and appendix A: the sum over
    clusters of (the sum of a cluster's deviations from the mean)², over n². It is multiplied by C / (C - 1), as
    inspect_ai does, since the paper's own form is too small for few clusters.
    """
    x, ids = np.asarray(values, dtype=float), np.asarray(cluster_ids)
    if x.ndim != 1 or x.shape != ids.shape or not len(x):
        raise ValueError(f"every value needs a cluster id, got shapes {x.shape} and {ids.shape}")
    mean = float(np.mean(x))
    _, inverse = np.unique(ids, return_inverse=True)
    sums = np.bincount(inverse, weights=x - mean)
    n_clusters = len(sums)
    # Reported beside the clustered error, so that a reader sees what the clusters cost.
    plain = float(np.std(x, ddof=1) / math.sqrt(len(x))) if len(x) > 1 else math.nan
    if n_clusters < 2:
        return ClusteredEstimate(mean, math.nan, n_clusters, 0, plain)
    error = math.sqrt(float(np.sum(sums**2)) * n_clusters / (n_clusters - 1)) / len(x)
    return ClusteredEstimate(mean, error, n_clusters, n_clusters - 1, plain)


def cluster_columns(values: ArrayLike, cluster_ids: ArrayLike) -> NDArray[np.float64]:
    """Return one column per cluster in place of one per sample, with the same row means.

    A row's standard error over its columns is its clustered standard error (see :func:`clustered_mean`), so a method
    for independent columns, such as the two-level estimate, allows for clusters.

    Args:
        values: Shape ``(n_rows, n_samples)``.
        cluster_ids: Shape ``(n_samples,)``: the cluster of each sample.

    Returns:
        Shape ``(n_rows, n_clusters)``, in ascending order of the ids.
    """
    x = np.asarray(values, dtype=float)
    clusters, inverse = np.unique(np.asarray(cluster_ids), return_inverse=True)
    means = x.mean(axis=-1, keepdims=True)
    belongs = (inverse[:, None] == np.arange(len(clusters))).astype(float)
    return np.asarray(means + (x - means) @ belongs * (len(clusters) / x.shape[-1]))
