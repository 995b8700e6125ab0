"""Two-sample U-statistics: the squared distance of two sets' means in a kernel's space, and its unbiased variance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MIN_UNITS = 4  # interaction() divides by n - 3


def squared_mean_distance(within_x: Array, within_y: Array, across: Array) -> tuple[float, float]:
    """Return the unbiased estimate of |E phi(x) - E phi(y)|² and its standard error.

    The estimate may be negative. Its variance has a first-order part and a second-order part, which is all there is
    near a distance of 0. Both are estimated without bias, but their sum is never taken below half of the second.

    Args:
        within_x: Kernel <phi(x_i), phi(x_j)> of the first set's units, shape ``(n, n)``; the diagonal is not read.
        within_y: The second set's, shape ``(m, m)``.
        across: Kernel between the sets, shape ``(n, m)``.

    Returns:
        The estimate, and its standard error; NaN where either set has fewer than four units.

    Raises:
        ValueError: A set has fewer than two units.

    Source: Gretton et al. 2012, "A Kernel Two-Sample Test", eq. 3; the variance by Hoeffding's decomposition, as in
    Sutherland & Deka 2019, arXiv:1906.02104.
    """
    n, m = across.shape
    if min(n, m) < 2:
        raise ValueError(f"got {n} and {m} units; accepted: at least 2 of each")
    rows_x, rows_y = (_off_diagonal(kernel).sum(axis=1) for kernel in (within_x, within_y))
    estimate = rows_x.sum() / (n * (n - 1)) + rows_y.sum() / (m * (m - 1)) - 2 * across.mean()
    if min(n, m) < MIN_UNITS:
        return float(estimate), math.nan
    in_x, in_y, between = interaction(within_x), interaction(within_y), cross_interaction(across)
    # A row's mean estimates its first-order term; the noise that its finite length adds to the variance is taken off.
    first_x = (rows_x / (n - 2) - across.mean(axis=1)).var(ddof=1) - in_x / (n - 2) - between / m
    first_y = (rows_y / (m - 2) - across.mean(axis=0)).var(ddof=1) - in_y / (m - 2) - between / n
    first, second = 4 * first_x / n + 4 * first_y / m, second_order_variance(in_x, in_y, between, n, m)
    # The estimate of the first part may be negative; an error of 0 would be a false certainty.
    return float(estimate), math.sqrt(max(float(first) + second, second / 2))


def second_order_variance(in_x: float, in_y: float, between: float, n: int, m: int) -> float:
    """Return the variance of the estimate of ``squared_mean_distance`` where the two distributions are equal.

    Args:
        in_x: ``interaction`` of the first set's kernel.
        in_y: ``interaction`` of the second set's kernel.
        between: ``cross_interaction`` of the kernel between the sets.
        n: Number of units of the first set, at least 2.
        m: Number of units of the second set, at least 2.

    Returns:
        The variance, in the kernel's unit squared; never negative.
    """
    # The interactions are unbiased estimates of mean squares, so that one of them may come out negative.
    return max(0.0, 2 * in_x / (n * (n - 1)) + 2 * in_y / (m * (m - 1)) + 4 * between / (n * m))


def interaction(within: Array) -> float:
    """Return the unbiased estimate of the mean square of a kernel that is centred in both its arguments.

    It is the U-centred product of Székely & Rizzo 2014, "Partial distance correlation", eq. 3.2, of the kernel with
    itself; ``within`` has shape ``(n, n)``, n at least 4, and its diagonal is not read.
    """
    n = len(within)
    kernel = _off_diagonal(within)
    rows = kernel.sum(axis=1)
    total = float(rows.sum())
    products = float((kernel**2).sum()) - 2 * float(rows @ rows) / (n - 2)
    return (products + total * total / ((n - 1) * (n - 2))) / (n * (n - 3))


def cross_interaction(across: Array) -> float:
    """Return the same between two independent sets, from their kernel of shape ``(n, m)``."""
    n, m = across.shape
    centred = across - across.mean(axis=0) - across.mean(axis=1, keepdims=True) + across.mean()
    return float((centred**2).sum() / ((n - 1) * (m - 1)))


def _off_diagonal(kernel: Array) -> Array:
    return kernel - np.diag(np.diag(kernel))
