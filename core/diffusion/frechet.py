"""The Fréchet distance between two sets of features, from moments that are summed in a stream."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from core.utils.results import ScalarResult

Array = NDArray[np.float64]
N_GROUPS = 20


@frozen(eq=False)
class Moments:
    """Number, sum and sum of outer products of feature vectors: what their mean and covariance need."""

    n: int
    total: Array
    outer: Array

    @classmethod
    def of(cls, features: Array) -> Moments:
        """Return the moments of features of shape ``(n, d)``; ``n`` may be 0."""
        return cls(len(features), features.sum(axis=0), features.T @ features)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.total + other.total, self.outer + other.outer)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.n - other.n, self.total - other.total, self.outer - other.outer)

    def mean(self) -> Array:
        """Return the mean, shape ``(d,)``."""
        return self.total / self.n

    def covariance(self) -> Array:
        """Return the unbiased covariance, shape ``(d, d)``; it needs two vectors."""
        mean = self.mean()
        covariance: Array = (self.outer - self.n * np.outer(mean, mean)) / (self.n - 1)
        return covariance


class FrechetReference:
    """The fixed side of Fréchet distances; its covariance's root is taken once.

    Args:
        moments: Of at least two feature vectors.
    """

    def __init__(self, moments: Moments) -> None:
        self.n = moments.n
        self._mean = moments.mean()
        covariance = moments.covariance()
        values, vectors = np.linalg.eigh(covariance)
        self._trace = np.trace(covariance)
        self._root = (vectors * np.sqrt(values.clip(0))) @ vectors.T

    def distance(self, moments: Moments) -> float:
        """Return |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^(1/2)): the square of the distance between two normals.

        The square is what is meant by FID. It is never negative; with few vectors it is too large by about as much as
        two such samples of one distribution differ.

        Source: Dowson & Landau 1982, "The Fréchet distance between multivariate normal distributions"; Heusel et al.
        2017, arXiv:1706.08500, eq. 6. The root taken is that of C2^(1/2) C1 C2^(1/2), which is symmetric and has the
        same trace.
        """
        covariance = moments.covariance()
        shared = np.sqrt(np.linalg.eigvalsh(self._root @ covariance @ self._root).clip(0)).sum()
        gap = moments.mean() - self._mean
        return max(0.0, float(gap @ gap + np.trace(covariance) + self._trace - 2 * shared))


class GroupedMoments:
    """Moments of a stream of features in at most 20 groups, for a jackknife over the groups.

    Memory does not grow with the number of vectors. The groups must be alike: repetitions of how all were drawn.
    """

    def __init__(self) -> None:
        self._groups: list[Moments | None] = [None] * N_GROUPS

    def add(self, groups: NDArray[np.int64], features: Array) -> None:
        """Add features of shape ``(n, d)``, float64, each to the group of its number, 0 to 19."""
        for group in np.unique(groups):
            more = Moments.of(features[groups == group])
            before = self._groups[group]
            self._groups[group] = more if before is None else before + more

    @property
    def n(self) -> int:
        """Number of vectors."""
        return sum(group.n for group in self._filled())

    def total(self) -> Moments:
        """Return the moments of all."""
        groups = self._filled()
        return sum(groups[1:], start=groups[0])

    def distance(self, reference: FrechetReference) -> ScalarResult:
        """Return the distance to the reference, its error by the jackknife over the groups, and their number.

        The error is conditional on the reference: it speaks of other samples, not of other reference images. It is
        NaN where leaving out a group leaves fewer than two vectors.

        Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", eq. 11.5, on groups.
        """
        groups, total = self._filled(), self.total()
        mean = reference.distance(total)
        if any(total.n - group.n < 2 for group in groups):
            return ScalarResult(mean, math.nan, len(groups))
        without = np.array([reference.distance(total - group) for group in groups])
        n = len(groups)
        error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
        return ScalarResult(mean, error, n)

    def _filled(self) -> list[Moments]:
        return [group for group in self._groups if group is not None]
