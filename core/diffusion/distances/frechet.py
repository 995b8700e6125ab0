"""The squared Fréchet distance between two sets of feature vectors, and its leave-one-group-out values."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Array = NDArray[np.float64]
Groups = NDArray[np.int64]


@frozen(eq=False)
class Moments:
    """Number, sum and sum of outer products of vectors, from which mean and covariance follow.

    Attributes:
        n: Number of vectors.
        total: Their sum in the feature space, shape ``(d,)``.
        power: Sum of their squared norms in the feature space.
        inner: Their sum in the coordinates used for covariances, shape ``(r,)``.
        outer: Sum of outer products in these coordinates, shape ``(r, r)``.
    """

    n: int
    total: Array
    power: float
    inner: Array
    outer: Array

    @classmethod
    def of(cls, features: Array, coordinates: Array) -> Moments:
        """Return the moments of vectors given as features, ``(n, d)``, and as coordinates, ``(n, r)``; n may be 0."""
        power = float(np.einsum("ij,ij->", features, features))
        inner = coordinates.sum(axis=0)
        return cls(len(features), features.sum(axis=0), power, inner, coordinates.T @ coordinates)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(
            self.n - other.n,
            self.total - other.total,
            self.power - other.power,
            self.inner - other.inner,
            self.outer - other.outer,
        )

    def mean(self) -> Array:
        """Return the mean in the feature space, shape ``(d,)``."""
        return self.total / self.n

    def trace(self) -> float:
        """Return the trace of the unbiased covariance in the feature space."""
        # From the squared norms: no d × d matrix is needed for a trace.
        return (self.power - float(self.total @ self.total) / self.n) / (self.n - 1)

    def covariance(self) -> Array:
        """Return the unbiased covariance in the coordinates, shape ``(r, r)``."""
        mean = self.inner / self.n
        covariance: Array = (self.outer - self.n * np.outer(mean, mean)) / (self.n - 1)
        return covariance


class Frechet:
    """The squared Fréchet distance |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^(1/2)) between samples and a reference.

    FID is this squared distance. It is never negative, and it is biased upwards: two samples of one distribution have a
    positive distance.

    Only the covariances' product needs more than a trace, and it needs no more than the span of the smaller set. With
    fewer vectors than dimensions, both sets are therefore written in an orthonormal basis of that span, and memory is
    of order n · d + n² in place of d². Leaving out a group changes sums by that group alone.

    Args:
        samples: Shape ``(n, d)``, at least two.
        reference: Shape ``(m, d)``, at least two.
        sample_groups: The group of each sample, integers from 0 without gaps, shape ``(n,)``.
        reference_groups: The group of each vector of the reference, likewise.

    Raises:
        ValueError: A set holds fewer than two vectors, or the dimensions differ.

    Source: Dowson & Landau 1982, "The Fréchet distance between multivariate normal distributions"; Heusel et al.
    2017, arXiv:1706.08500, eq. 6.
    """

    def __init__(self, samples: Array, reference: Array, sample_groups: Groups, reference_groups: Groups) -> None:
        if min(len(samples), len(reference)) < 2 or samples.shape[1] != reference.shape[1]:
            raise ValueError(
                f"got {samples.shape} samples and {reference.shape} reference vectors; accepted: at least two of each,"
                " of one dimension"
            )
        origin = reference.mean(axis=0)  # the distance is the same from any origin; sums round least from a near one
        self.samples = Side(samples - origin, sample_groups)
        self.reference = Side(reference - origin, reference_groups)
        smaller = min(self.samples, self.reference, key=lambda side: len(side.features))
        if len(smaller.features) <= samples.shape[1]:
            # Directions outside the smaller set's span have no covariance there, so that the product loses nothing.
            basis = np.linalg.qr((smaller.features - smaller.features.mean(axis=0)).T)[0]
            self.samples.use(basis)
            self.reference.use(basis)

    def value(self) -> float:
        """Return the distance, from triangular factors of the centred sets, which keep small eigenvalues exact.

        tr (C1 C2)^(1/2) is the sum of the singular values of X1 X2^T, where X^T X = C.
        """
        factors = [side.triangle() for side in (self.samples, self.reference)]
        shared = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
        return _distance(self.samples.moments, self.reference.moments, float(shared))

    def without_sample_groups(self) -> Array:
        """Return the distance without each group of samples; NaN where fewer than two are left."""
        return _leave_out(self.samples, self.reference)

    def without_reference_groups(self) -> Array:
        """Return the distance without each group of the reference; NaN where fewer than two are left."""
        return _leave_out(self.reference, self.samples)


class Side:
    """One of the two sets.

    Attributes:
        features: Shape ``(n, d)``, from an origin that both sets share.
        coordinates: The same vectors in the coordinates used for covariances, shape ``(n, r)``.
        groups: The group of each vector.
    """

    def __init__(self, features: Array, groups: Groups) -> None:
        self.features, self.coordinates, self.groups = features, features, groups

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.groups.max()) + 1

    @property
    def moments(self) -> Moments:
        """Moments of all vectors."""
        return Moments.of(self.features, self.coordinates)

    def use(self, basis: Array) -> None:
        """Take the columns of a ``(d, r)`` matrix as the coordinates' basis."""
        self.coordinates = self.features @ basis

    def triangle(self) -> Array:
        """Return R with R^T R = the unbiased covariance in the coordinates."""
        # A triangle of the vectors, not a root of their covariance: forming X^T X would square the condition number.
        centred = self.coordinates - self.coordinates.mean(axis=0)
        return np.asarray(np.linalg.qr(centred / math.sqrt(len(centred) - 1), mode="r"))

    def group(self, index: int) -> Moments:
        """Return the moments of one group."""
        members = self.groups == index
        return Moments.of(self.features[members], self.coordinates[members])


def _leave_out(side: Side, other: Side) -> Array:
    """Return the distance of each leave-one-group-out part of a side to the other, whose root is taken once."""
    fixed, total = other.moments, side.moments
    values, vectors = np.linalg.eigh(fixed.covariance())
    # From eigh, not scipy.linalg.sqrtm, which may return complex numbers for a singular matrix.
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T  # clipped: rounding may make a 0 negative
    distances = []
    for index in range(side.n_groups):
        rest = total - side.group(index)
        if rest.n < 2:  # one vector has no covariance
            distances.append(math.nan)
            continue
        shared = np.sqrt(np.linalg.eigvalsh(root @ rest.covariance() @ root).clip(0)).sum()
        distances.append(_distance(rest, fixed, float(shared)))
    return np.array(distances)


def _distance(one: Moments, other: Moments, shared: float) -> float:
    # Rounding alone can take the sum below 0, which a squared distance cannot be.
    gap = one.mean() - other.mean()
    return max(0.0, float(gap @ gap) + one.trace() + other.trace() - 2 * shared)


def jackknife_error(without: Array) -> float:
    """Return the standard error from the values without each group; NaN for fewer than two groups.

    Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", eq. 11.5, on groups.
    """
    g = len(without)
    if g < 2:
        return math.nan
    return math.sqrt((g - 1) / g * float(((without - without.mean()) ** 2).sum()))
