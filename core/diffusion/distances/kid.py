"""KID: the squared distance of two sets' means in the space of a cubic polynomial kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.diffusion.distances.two_sample import squared_mean_distance
from core.utils.results import ScalarResult

Array = NDArray[np.float64]
Groups = NDArray[np.int64]


def kid(samples: Array, reference: Array, sample_units: Groups, reference_units: Groups) -> ScalarResult:
    """Return the full unbiased estimate of the squared distance, its standard error, and the samples' units.

    All pairs of different units are taken, none at random. The error covers the samples and the reference. The
    estimate may be negative.

    Args:
        samples: Features, shape ``(n, d)``.
        reference: Features of real images, shape ``(m, d)``.
        sample_units: The unit of each sample, integers from 0 without gaps: units are independent, samples of one unit
            need not be, such as one sample of each class. With every sample its own unit this is the textbook's KID.
        reference_units: Likewise for the reference.

    Raises:
        ValueError: Fewer than two units on a side.

    Source: Bińkowski et al. 2018, arXiv:1801.01401, eq. 4, with the kernel (x·y / d + 1)³.
    """
    within_samples = _unit_means(samples, samples, sample_units, sample_units)
    within_reference = _unit_means(reference, reference, reference_units, reference_units)
    across = _unit_means(samples, reference, sample_units, reference_units)
    # Not a mean over random subsets: these add noise, and their spread is not the standard error.
    estimate, error = squared_mean_distance(within_samples, within_reference, across)
    return ScalarResult(estimate, error, len(within_samples))


def _unit_means(one: Array, other: Array, units: Groups, other_units: Groups) -> Array:
    """Return the kernel's mean over the pairs of every two units, a block of rows at a time."""
    n, m = int(units.max()) + 1, int(other_units.max()) + 1
    sums = np.zeros((n, m))
    columns = np.argsort(other_units, kind="stable")
    starts = np.searchsorted(other_units[columns], np.arange(m))
    # Blocks of about 500 rows bound the memory; the whole kernel of 50,000 samples would take 20 GB.
    for block in np.array_split(np.arange(len(one)), max(1, len(one) // 500)):
        kernel = (one[block] @ other[columns].T / one.shape[1] + 1) ** 3
        np.add.at(sums, units[block], np.add.reduceat(kernel, starts, axis=1))
    return sums / np.outer(np.bincount(units), np.bincount(other_units))
