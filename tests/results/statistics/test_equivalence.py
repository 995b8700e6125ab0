"""Two one-sided tests against SciPy's one-sided t tests, and their error rate and power."""

import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.equivalence import equivalence
from results.statistics.intervals import paired_difference, t_quantile, welch_difference

# Student 1908, hours of sleep gained with two drugs
SLEEP_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


@pytest.mark.parametrize("margin", [0.5, 2.0, 4.0])
def test_the_paired_p_values_are_scipys_one_sided_ones(margin: float) -> None:
    found = equivalence(paired_difference(SLEEP_1, SLEEP_2), margin)
    differences = SLEEP_1 - SLEEP_2
    lower = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    upper = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    assert float(found.p_lower) == pytest.approx(lower, rel=1e-9)
    assert float(found.p_upper) == pytest.approx(upper, rel=1e-9)
    assert float(found.p_value) == max(float(found.p_lower), float(found.p_upper))


@pytest.mark.parametrize("margin", [0.5, 2.0, 4.0])
def test_the_unpaired_p_values_are_scipys_one_sided_ones(margin: float) -> None:
    found = equivalence(welch_difference(SLEEP_1, SLEEP_2), margin)
    lower = stats.ttest_ind(SLEEP_1 + margin, SLEEP_2, equal_var=False, alternative="greater").pvalue
    upper = stats.ttest_ind(SLEEP_1 - margin, SLEEP_2, equal_var=False, alternative="less").pvalue
    assert (float(found.p_lower), float(found.p_upper)) == pytest.approx((lower, upper), rel=1e-9)


def test_the_interval_lies_within_the_margin_exactly_where_the_answer_is_equivalent() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 3_000, 8))
    found = equivalence(welch_difference(a, b), 0.9)
    within = (found.ci_low > -0.9) & (found.ci_high < 0.9)
    np.testing.assert_array_equal(within, found.p_value < 0.05)
    assert 0.1 < within.mean() < 0.9


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_a_difference_at_the_margin_is_called_equivalent_in_at_most_5_percent(n: int) -> None:
    a, b = np.random.default_rng(n).normal(size=(2, 40_000, n))
    margin = 1.5
    for test in (paired_difference(a + margin, b), welch_difference(a + margin, b)):
        assert np.mean(equivalence(test, margin).p_value < 0.05) < 0.0535


def test_fifty_runs_with_no_difference_are_called_equivalent_as_often_as_the_normal_theory_says() -> None:
    a, b = np.random.default_rng(50).normal(size=(2, 10_000, 50))
    power = 2 * stats.norm.cdf(0.7 / math.sqrt(2 / 50) - stats.norm.ppf(0.95)) - 1  # 0.937
    assert np.mean(equivalence(welch_difference(a, b), 0.7).p_value < 0.05) == pytest.approx(power, abs=0.02)


def test_no_difference_found_is_not_equivalence() -> None:
    found = paired_difference([0.1, 0.9, 0.4], [0.5, 0.2, 0.6])
    assert float(found.p_value) > 0.5
    assert float(equivalence(found, 0.1).p_value) > 0.05


@pytest.mark.parametrize("rows", [([1.0], [1.0]), ([1.0, 1.0], [1.0, 1.0])], ids=["one run", "no spread"])
def test_without_a_spread_equivalence_is_unknown(rows: tuple[list[float], list[float]]) -> None:
    assert math.isnan(float(equivalence(paired_difference(*rows), 0.5).p_value))
    assert math.isnan(float(equivalence(welch_difference(*rows), 0.5).p_value))


def test_the_interval_has_the_coverage_of_1_minus_2_alpha() -> None:
    found = paired_difference(SLEEP_1, SLEEP_2)
    half = float(t_quantile(0.90, 9)) * float(found.error)
    interval = equivalence(found, 1.0)
    assert float(interval.ci_high) - float(found.difference) == pytest.approx(half, rel=1e-9)


@pytest.mark.parametrize("margin", [0.0, -1.0, math.inf, math.nan])
def test_a_margin_that_is_not_positive_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin of equivalence is a positive number in the measure's unit, got"):
        equivalence(paired_difference(SLEEP_1, SLEEP_2), margin)
