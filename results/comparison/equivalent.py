"""Whether a difference is shown to be too small to matter, for every comparison that was made at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen

from results.comparison.significance import ReplicateTest
from results.statistics.equivalence import equivalence
from results.statistics.intervals import Difference
from results.statistics.two_proportions import score_equivalence, score_interval


@frozen
class EquivalenceAnswer:
    """Two one-sided tests of one comparison.

    Attributes:
        margin: The largest difference that does not matter.
        p_value: The larger of the two one-sided p-values; NaN where the spread is unknown.
        p_adjusted: Times the number of equivalence tests of the call (Bonferroni).
        ci_low: Lower end of an interval that lies within ± margin if and only if equivalence is shown.
        ci_high: Upper end.
        ci_level: Coverage of that interval: 1 - 2 alpha, where alpha is 1 - level over the number of tests.
        is_shown: Whether the difference lies within ± margin, after the correction.
    """

    margin: float
    p_value: float
    p_adjusted: float
    ci_low: float
    ci_high: float
    ci_level: float
    is_shown: bool


def equivalence_answers(tests: Sequence[ReplicateTest], margin: float, level: float) -> list[EquivalenceAnswer]:
    """Test each comparison for equivalence; "equivalent" is said falsely in at most 1 - level of all calls.

    A comparison cannot be wrong in both ways, by a difference that is not there and by an equivalence that is not. So
    Bonferroni's correction of both kinds of answers over the comparisons keeps the rate of any wrong answer, too.
    """
    n_tests = max(1, sum(test.error > 0 for test in tests))
    alpha = (1 - level) / n_tests
    answers = []
    for test in tests:
        p_value, low, high = _one_answer(test, margin, alpha)
        p_adjusted = math.nan if math.isnan(p_value) else min(1.0, n_tests * p_value)
        answers.append(EquivalenceAnswer(margin, p_value, p_adjusted, low, high, 1 - 2 * alpha, p_adjusted < 1 - level))
    return answers


def _one_answer(test: ReplicateTest, margin: float, alpha: float) -> tuple[float, float, float]:
    """Return the p-value of the two one-sided tests, and the ends of the interval of coverage 1 - 2 alpha."""
    if test.counts is not None:
        return score_equivalence(test.counts, margin), *score_interval(test.counts, 1 - 2 * alpha)
    parts = (test.difference, test.error, test.ci_low, test.ci_high, test.df, test.p_value)
    found = equivalence(Difference(*(np.asarray(part) for part in parts)), margin, alpha=alpha)
    return float(found.p_value), float(found.ci_low), float(found.ci_high)
