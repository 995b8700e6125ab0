"""The Fréchet distance corrected for its bias, which comes from both sets being finite."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.diffusion.distances.frechet import Frechet, Side, jackknife_error
from core.diffusion.distances.two_sample import (
    MIN_UNITS,
    cross_interaction,
    interaction,
    second_order_variance,
)
from core.utils.results import ScalarResult

Array = NDArray[np.float64]
FAR = 3.0


def shortage(n_samples: int, n_reference: int, d: int) -> str:
    """Return why so few vectors of ``d`` dimensions cannot be corrected and what to do instead; "" if they can.

    With fewer than two vectors a dimension the bias does not fall as 1/n, which is what the correction assumes.
    """
    short = [
        f"{n} {name}"
        for n, name in ((n_samples, "samples"), (n_reference, "held-out images"))
        if n < 2 * d or n < MIN_UNITS
    ]
    if not short:
        return ""
    return (
        f"{' and '.join(short)} are fewer than two for each of {d} dimensions; take more, or features of fewer "
        "dimensions, such as --features pca_16, or read frechet_distance/excess"
    )


def corrected(distance: Frechet) -> ScalarResult:
    """Return the distance less the jackknife's estimate of its bias on both sides, and its error over both.

    The value may be negative. Its variance has two parts: one that vanishes at a distance of 0, and one that remains.
    As long as the value is within three errors of 0, the error is that at 0, so that real images held against real
    images are within two errors of 0 as often as a normal variable is; beyond, it has both parts.

    Raises:
        ValueError: Fewer than two vectors a dimension, or fewer than four groups, on a side.

    Source: Quenouille 1956, with groups of unequal sizes as in Busing et al. 1999, "Delete-m Jackknife for Unequal m".
    The jackknife's variance has the second order twice (Efron & Stein 1981, "The Jackknife Estimate of Variance").
    """
    sides = distance.samples, distance.reference
    n, m = (len(side.features) for side in sides)
    reason = shortage(n, m, distance.samples.features.shape[1])
    if reason:
        raise ValueError(reason)
    if min(side.n_groups for side in sides) < MIN_UNITS:
        raise ValueError(f"got {[side.n_groups for side in sides]} groups; accepted: at least {MIN_UNITS} on each side")
    raw = distance.value()
    parts = distance.without_sample_groups(), distance.without_reference_groups()
    value = raw - sum(_bias(raw, without, side) for without, side in zip(parts, sides, strict=True))
    at_zero = _variance_at_zero(*sides)
    both = sum(jackknife_error(without) ** 2 for without in parts)
    # Near 0 the first part vanishes, and its estimate would only add noise to the error.
    is_far = abs(value) > FAR * math.sqrt(at_zero)
    # Less at_zero, because the jackknife counts the second order twice (Efron & Stein 1981).
    variance = max(at_zero, both - at_zero) if is_far else at_zero
    return ScalarResult(value, math.sqrt(variance), min(side.n_groups for side in sides))


def _bias(raw: float, without: Array, side: Side) -> float:
    # Weights 1 - m_j / n, because the groups differ in size (Busing et al. 1999); equal sizes give Quenouille's form.
    share = np.bincount(side.groups) / len(side.groups)
    return float(((1 - share) * without).sum()) - (side.n_groups - 1) * raw


def _variance_at_zero(samples: Side, reference: Side) -> float:
    """Return the variance that the corrected distance would have if both sets came from one distribution.

    Near 0 the distance is a squared distance of means: |m1 - m2|² + sum_kl (C1 - C2)_kl² / (2 (v_k + v_l)) in the
    eigenbasis of the common covariance, with eigenvalues v.
    """
    n, m = len(samples.features), len(reference.features)
    pooled = ((n - 1) * samples.moments.covariance() + (m - 1) * reference.moments.covariance()) / (n + m - 2)
    values, basis = np.linalg.eigh(pooled)
    floor = max(float(values[-1]), np.finfo(float).tiny) * 1e-12  # a feature that never varies adds nothing
    values = values.clip(floor)
    # Roots of the factors 1 / (2 (v_k + v_l)), because each side's covariance is weighted before the product is taken.
    weights = np.sqrt(1 / (2 * (values[:, None] + values)))
    x, y = (_deviations(side, basis, weights) for side in (samples, reference))
    interactions = interaction(x @ x.T), interaction(y @ y.T), cross_interaction(x @ y.T)
    return second_order_variance(*interactions, samples.n_groups, reference.n_groups)


def _deviations(side: Side, basis: Array, weights: Array) -> Array:
    """Return each group's deviation of mean and of weighted covariance from all, shape ``(groups, d + d²)``."""
    centred = (side.features - side.features.mean(axis=0)) @ basis
    covariance = centred.T @ centred / len(centred)
    scale = side.n_groups / len(centred)
    rows = []
    for group in range(side.n_groups):
        members = centred[side.groups == group]
        spread = scale * (members.T @ members - len(members) * covariance)
        rows.append(np.concatenate([scale * members.sum(axis=0), (weights * spread).ravel()]))
    return np.array(rows)
