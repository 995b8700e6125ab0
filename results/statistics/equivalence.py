"""Tests of equivalence: whether a difference is too small to matter. Finding no difference does not show that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from results.statistics.intervals import Difference

Array = NDArray[np.float64]


class Equivalence(NamedTuple):
    """Two one-sided tests (TOST) of a difference; each field is an array with one element per row.

    Attributes:
        p_value: The larger of the two one-sided p-values; below alpha the difference lies within the margin.
        p_lower: Of the test that the difference is above -margin.
        p_upper: Of the test that it is below +margin.
        ci_low: Lower end of the interval of coverage 1 - 2 alpha; within ± margin exactly where p_value < alpha.
        ci_high: Upper end.
    """

    p_value: Array
    p_lower: Array
    p_upper: Array
    ci_low: Array
    ci_high: Array


def equivalence(found: Difference, margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Test whether a difference of means lies within ± margin, from a paired or Welch's comparison.

    Args:
        found: What :func:`results.statistics.intervals.paired_difference` or ``welch_difference`` returned.
        margin: The largest difference that does not matter, in the measure's unit; positive.
        alpha: Rate at which a difference of ``margin`` or more is called equivalent, at most.

    Returns:
        NaN where the spread is unknown, or 0: equal values over a few replicates do not show that nothing varies.

    Raises:
        ValueError: ``margin`` is not a positive finite number.

    Source: Schuirmann 1987, J. Pharmacokin. Biopharm. 15; Lakens 2017, "Equivalence tests",
    doi:10.1177/1948550617697177.
    """
    from scipy.special import stdtr, stdtrit

    if not 0 < margin < np.inf:
        raise ValueError(f"the margin of equivalence is a positive number in the measure's unit, got {margin}")
    difference, error, df = (np.asarray(part, dtype=float) for part in (found.difference, found.error, found.df))
    known = np.where(error > 0, error, np.nan)
    with np.errstate(invalid="ignore"):
        p_lower = stdtr(df, -(difference + margin) / known)
        p_upper = stdtr(df, (difference - margin) / known)
        # Coverage 1 - 2 alpha, not 1 - alpha: then it lies within the margin exactly where both tests reject.
        half = stdtrit(df, 1 - alpha) * known
    return Equivalence(np.maximum(p_lower, p_upper), p_lower, p_upper, difference - half, difference + half)
