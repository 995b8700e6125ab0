"""Whether a difference is shown to be too small to matter, for every comparison that was made at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen

from results.comparison.significance import ReplicateTest
from results.statistics.correction import holm
from results.statistics.equivalence import equivalence
from results.statistics.intervals import Difference


@frozen
class EquivalenceAnswer:
    """Two one-sided tests of one comparison.

    Attributes:
        margin: The largest difference that does not matter.
        p_value: The larger of the two one-sided p-values; NaN where the spread is unknown.
        p_adjusted: After Holm's correction over all equivalence tests of the call.
        ci_low: Lower end of the interval of coverage 1 - 2 alpha, for this comparison by itself.
        ci_high: Upper end.
        is_shown: Whether the difference lies within ± margin, after the correction.
    """

    margin: float
    p_value: float
    p_adjusted: float
    ci_low: float
    ci_high: float
    is_shown: bool


def equivalence_answers(tests: Sequence[ReplicateTest], margin: float, level: float) -> list[EquivalenceAnswer]:
    """Test each comparison for equivalence; "equivalent" is said falsely in at most 1 - level of all calls."""
    found = []
    for test in tests:
        parts = (test.difference, test.error, test.ci_low, test.ci_high, test.df, test.p_value)
        found.append(equivalence(Difference(*(np.asarray(part) for part in parts)), margin, alpha=1 - level))
    adjusted = holm([float(one.p_value) for one in found])
    return [
        EquivalenceAnswer(
            margin,
            float(one.p_value),
            p,
            float(one.ci_low),
            float(one.ci_high),
            not math.isnan(p) and p < 1 - level,
        )
        for one, p in zip(found, adjusted, strict=True)
    ]
