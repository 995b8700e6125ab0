"""Precision and recall: the share of samples that lie near real images, and of real images that lie near samples."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from core.diffusion.distances.frechet import jackknife_error
from core.utils.results import ScalarResult

Array = NDArray[np.float64]
Groups = NDArray[np.int64]
K_NEAREST = 3


@frozen
class PrecisionRecall:
    """The share of samples near a real image, and the share of real images near a sample, each with its error."""

    precision: ScalarResult
    recall: ScalarResult


def precision_recall(
    samples: Array, reference: Array, sample_groups: Groups, reference_groups: Groups, k: int = K_NEAREST
) -> PrecisionRecall:
    """Return precision and recall in a feature space.

    A point is near a set if it is no farther from some vector of the set than this vector's k-th nearest neighbour in
    the set. The errors are the jackknife's over groups of both sets, since a share depends on both. Each result's n is
    the number of independent draws that would give its error, so that Wilson's interval for n draws is the right one;
    for a share of 0 or 1, which has no spread, it is the size of the set that was counted.

    Args:
        samples: Shape ``(n, d)``, more than ``k + 1``.
        reference: Real images, shape ``(m, d)``, more than ``k + 1``.
        sample_groups: The group of each sample, integers from 0 without gaps.
        reference_groups: Likewise.
        k: Which nearest neighbour decides how far a vector reaches.

    Raises:
        ValueError: Too few vectors.

    Source: Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2.
    """
    if min(len(samples), len(reference)) < k + 2:
        raise ValueError(f"got {len(samples)} samples and {len(reference)} real images; accepted: at least {k + 2}")
    across = squared_distances(samples, reference)
    precision = _covered(squared_distances(reference, reference), across, reference_groups, sample_groups, k)
    recall = _covered(squared_distances(samples, samples), across.T, sample_groups, reference_groups, k)
    return PrecisionRecall(precision, recall)


def squared_distances(one: Array, other: Array) -> Array:
    """Return squared Euclidean distances, shape ``(n, m)``; none is negative, and those of a set to itself are exact.

    |a|² + |b|² - 2 a·b is rounded alike for (a, b) and (b, a), and centring keeps the rounding small.
    """
    origin = other.mean(axis=0)
    one, other = one - origin, other - origin
    squares: Array = np.einsum("ij,ij->i", one, one)[:, None] + np.einsum("ij,ij->i", other, other) - 2 * one @ other.T
    return np.maximum(squares, 0)


def _covered(within: Array, across: Array, groups: Groups, counted_groups: Groups, k: int) -> ScalarResult:
    """Return the share of the columns' set that lies near the set of ``within``, whose rows ``across.T`` has.

    Args:
        within: Squared distances in the set that reaches out, shape ``(m, m)``.
        across: Squared distances of the counted vectors to this set, shape ``(n, m)``.
        groups: Groups of the set that reaches out.
        counted_groups: Groups of the counted vectors.
        k: Which nearest neighbour decides.
    """
    hits = _hits(within, across, k)
    share, n = float(hits.mean()), len(hits)
    over_counted = _without(hits, counted_groups)
    over_reach = []
    for group in range(int(groups.max()) + 1):
        kept = groups != group
        # Too few vectors are left without this group, so that the error is unknown.
        if kept.sum() < k + 2:
            return ScalarResult(share, math.nan, n)
        over_reach.append(_hits(within[np.ix_(kept, kept)], across[:, kept], k).mean())
    error = math.hypot(jackknife_error(over_counted), jackknife_error(np.array(over_reach)))
    n_draws = n
    # A share of n independent draws has variance share (1 - share) / n; solved for n.
    if 0 < share < 1 and error > 0:
        n_draws = min(n, max(1, round(share * (1 - share) / error**2)))
    return ScalarResult(share, error, n_draws)


def _hits(within: Array, across: Array, k: int) -> NDArray[np.bool_]:
    radii = np.partition(within, k, axis=1)[:, k]  # place 0 is the vector itself
    return np.asarray((across <= radii).any(axis=1))


def _without(hits: NDArray[np.bool_], groups: Groups) -> Array:
    sums, counts = np.bincount(groups, weights=hits), np.bincount(groups)
    # 0 / 0 where one group is all there is; NaN then says that the error is unknown.
    with np.errstate(invalid="ignore"):
        return np.asarray((hits.sum() - sums) / (len(hits) - counts))
