"""Shares of failed runs: Fisher's own example, hand sums, and the exact error rate."""

import math
from math import comb

import numpy as np
import pytest
from scipy import stats

from results.statistics.failures import failure_shares


def test_the_p_value_of_fishers_tea_tasting() -> None:
    # Fisher 1935, The design of experiments: 3 of 4 cups right; two-sided by hand: (1 + 16 + 16 + 1) / C(8, 4)
    assert failure_shares(3, 4, 1, 4).p_value == pytest.approx(34 / 70, rel=1e-12)


def test_all_of_five_against_none_of_five_by_hand() -> None:
    found = failure_shares(5, 5, 0, 5)
    assert found.p_value == pytest.approx(2 / comb(10, 5), rel=1e-12)
    assert found.interval_a[1] == 1.0
    assert found.interval_b[0] == 0.0


def test_of_five_runs_each_four_failures_against_none_is_the_least_below_5_percent() -> None:
    assert failure_shares(4, 5, 0, 5).p_value == pytest.approx(2 * 5 / comb(10, 4), rel=1e-12)  # 0.048
    assert failure_shares(3, 5, 0, 5).p_value == pytest.approx(2 * 10 / comb(10, 3), rel=1e-12)  # 0.167


def test_intervals_are_wilsons() -> None:
    expected = stats.binomtest(1, 6).proportion_ci(0.9, method="wilson")
    assert failure_shares(1, 6, 0, 5, level=0.9).interval_a == pytest.approx((expected.low, expected.high))


def test_no_failure_anywhere_is_no_difference() -> None:
    assert failure_shares(0, 5, 0, 3).p_value == 1.0


def test_a_group_without_a_run_cannot_be_compared() -> None:
    found = failure_shares(0, 0, 2, 3)
    assert math.isnan(found.p_value)
    assert math.isnan(found.interval_a[0])


@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_equal_shares_are_called_different_in_at_most_5_percent(n: int, share: float) -> None:
    counts = np.arange(n + 1)
    p_values = np.array([[failure_shares(int(a), n, int(b), n).p_value for b in counts] for a in counts])
    weights = stats.binom.pmf(counts, n, share)
    assert float(weights @ (p_values < 0.05) @ weights) < 0.05  # exact, no simulation


@pytest.mark.parametrize("counts", [(6, 5, 0, 5), (-1, 5, 0, 5)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="successes lie between 0 and n"):
        failure_shares(*counts)
