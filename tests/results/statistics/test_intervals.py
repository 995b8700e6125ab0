"""The intervals and tests, against textbook numbers and by simulation of experiments whose truth is known."""

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists
from scipy import stats

from results.statistics.effect_size import effect_size
from results.statistics.intervals import (
    Difference,
    paired_difference,
    summarise,
    t_quantile,
    welch_df,
    welch_difference,
    welch_from_errors,
)

TTest = Callable[[list[float], list[float]], Difference]

N_EXPERIMENTS = 40_000  # a rate of 5% is then known to ± 0.1 points

# Student 1908, "The probable error of a mean", Biometrika 6: hours of sleep that ten patients gained with two drugs.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def experiments(seed: int, n: int, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, spread, size=(N_EXPERIMENTS, n))


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_a_95_percent_interval_covers_the_truth_in_95_percent_of_experiments(n: int) -> None:
    intervals = [summarise(values) for values in (experiments(n, n) + 7.0).tolist()]
    covered = np.mean([one.ci_low <= 7.0 <= one.ci_high for one in intervals])
    assert 0.945 < covered < 0.955


def test_mean_plus_or_minus_one_standard_error_covers_only_58_percent_with_three_runs() -> None:
    covered = np.mean([abs(one.mean) <= one.error for one in map(summarise, experiments(1, 3).tolist())])
    assert covered == pytest.approx(0.577, abs=0.01)  # 2 P(0 < t_2 < 1) = 1/sqrt(3)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_without_a_difference_the_paired_test_errs_in_5_percent(n: int) -> None:
    shared = experiments(100 + n, n)
    found = paired_difference(shared + experiments(200 + n, n, 0.5), shared + experiments(300 + n, n, 0.5))
    assert np.mean(found.p_value < 0.05) == pytest.approx(0.05, abs=0.005)
    assert np.mean((found.ci_low > 0) | (found.ci_high < 0)) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_without_a_difference_welch_errs_in_no_more_than_5_percent(n: int, spread: float) -> None:
    found = welch_difference(experiments(400 + n, n), experiments(500 + n, n, spread))
    rate = np.mean(found.p_value < 0.05)
    if spread == 1.0:
        assert rate < 0.055
    if n >= 10:
        assert rate == pytest.approx(0.05, abs=0.005)


def test_pairing_finds_what_welch_cannot_where_pairs_are_correlated() -> None:
    shared = experiments(1, 5)
    a, b = shared + experiments(2, 5, 0.3) + 0.6, shared + experiments(3, 5, 0.3)
    found_paired = np.mean(paired_difference(a, b).p_value < 0.05)
    found_welch = np.mean(welch_difference(a, b).p_value < 0.05)
    assert found_paired > 0.6 > 0.2 > found_welch


def test_pooling_samples_over_runs_would_cover_far_less_than_it_says() -> None:
    rng = np.random.default_rng(5)
    seeds = rng.normal(0, 1, size=(2_000, 5, 1))
    samples = seeds + rng.normal(0, 1, size=(2_000, 5, 100))
    by_seed = [summarise(values) for values in samples.mean(axis=-1).tolist()]
    pooled = [summarise(values) for values in samples.reshape(2_000, 500).tolist()]
    assert np.mean([one.ci_low <= 0 <= one.ci_high for one in by_seed]) == pytest.approx(0.95, abs=0.02)
    assert np.mean([one.ci_low <= 0 <= one.ci_high for one in pooled]) < 0.3


def test_paired_test_of_students_sleep_data_gives_the_published_numbers() -> None:
    found = paired_difference(SLEEP_1, SLEEP_2)  # R: t.test(extra ~ group, data = sleep, paired = TRUE)
    assert float(found.p_value) == pytest.approx(0.002833, abs=5e-7)
    assert (float(found.ci_low), float(found.ci_high)) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert float(found.df) == 9
    assert float(found.error) == pytest.approx(1.58 / 4.0621277, rel=1e-7)  # difference / t


def test_welch_test_of_students_sleep_data_gives_the_published_numbers() -> None:
    found = welch_difference(SLEEP_1, SLEEP_2)  # R: t.test(extra ~ group, data = sleep)
    assert float(found.p_value) == pytest.approx(0.07939414, abs=5e-9)
    assert (float(found.ci_low), float(found.ci_high)) == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)
    assert float(found.df) == pytest.approx(17.776, abs=5e-4)
    assert float(found.difference) == pytest.approx(-1.58)


def test_welch_from_means_and_errors_agrees_with_welch_from_values() -> None:
    def error(values: list[float]) -> float:
        return statistics.stdev(values) / math.sqrt(len(values))

    from_values = welch_difference(SLEEP_1, SLEEP_2)
    from_errors = welch_from_errors(
        statistics.mean(SLEEP_1), error(SLEEP_1), 10, statistics.mean(SLEEP_2), error(SLEEP_2), 10
    )
    for one, other in zip(from_values, from_errors, strict=True):
        assert float(one) == pytest.approx(float(other), rel=1e-12)


@pytest.mark.parametrize("scale", [2.0**-1060, 2.0**-700, 2.0**700, 2.0**1020])
def test_tiny_and_huge_values_keep_their_spread(scale: float) -> None:
    a, b = np.array([1.0, 2.0, 4.0]), np.array([1.25, 2.5, 6.0])
    exact = 0.51 / 3  # subnormal numbers are multiples of 2**-1074
    row = summarise((a * scale).tolist())
    error = np.std(a, ddof=1) / math.sqrt(3)
    assert (row.mean / scale, row.error / scale) == pytest.approx((7 / 3, error), rel=1e-4)
    for found, test in (
        (paired_difference(a * scale, b * scale), stats.ttest_rel(a, b)),
        (welch_difference(a * scale, b * scale), stats.ttest_ind(a, b, equal_var=False)),
    ):
        assert float(found.p_value) == pytest.approx(test.pvalue, rel=1e-9)
        assert float(found.ci_low) / scale == pytest.approx(test.confidence_interval().low, rel=1e-4)
    from_errors = welch_from_errors(7 / 3 * scale, error * scale, 3, 13 / 4 * scale, exact * scale, 3)
    expected = stats.ttest_ind_from_stats(7 / 3, error * 3**0.5, 3, 13 / 4, exact * 3**0.5, 3, equal_var=False)
    assert float(from_errors.p_value) == pytest.approx(expected.pvalue, rel=1e-4)


def test_the_mean_of_values_near_the_largest_float_is_finite() -> None:
    row = summarise([1.5e308, 1.7e308])
    assert row.mean == pytest.approx(1.6e308)
    assert (row.ci_low, row.ci_high) == (pytest.approx(1.6e308 - 12.7062047 * 1e307), math.inf)


def test_welch_degrees_of_freedom_survive_errors_whose_squares_underflow() -> None:
    assert float(welch_df(1e-200, 5, 1e-200, 5)) == pytest.approx(8.0)
    assert float(welch_df(1e-200, 5, 0.0, 9)) == pytest.approx(4.0)


def test_interval_of_known_values_matches_a_hand_calculation() -> None:
    interval = summarise([2.0, 4.0, 6.0])  # sd 2, error 2/sqrt(3), t(0.975, 2) = 4.30265 from the tables
    assert interval.mean == 4.0
    assert interval.error == pytest.approx(2 / math.sqrt(3))
    assert interval.ci_low == pytest.approx(4 - 4.30265 * 2 / math.sqrt(3), abs=1e-4)
    assert interval.ci_high == pytest.approx(4 + 4.30265 * 2 / math.sqrt(3), abs=1e-4)


@given(values=lists(floats(-1e6, 1e6), min_size=2, max_size=6, unique=True))
def test_the_interval_agrees_with_scipy(values: list[float]) -> None:
    summary = summarise(values)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (summary.ci_low, summary.ci_high) == pytest.approx((wanted.low, wanted.high), rel=1e-9, abs=1e-9)
    assert (summary.n, summary.error) == (len(values), pytest.approx(stats.sem(values), rel=1e-9))


def test_one_replicate_has_a_mean_and_an_unknown_error() -> None:
    interval = summarise([3.5])
    assert interval.mean == 3.5
    assert all(math.isnan(part) for part in (interval.error, interval.ci_low, interval.ci_high))


def test_no_replicate_has_no_mean() -> None:
    assert math.isnan(summarise([]).mean)


def test_a_nan_replicate_is_not_dropped_in_silence() -> None:
    assert math.isnan(summarise([1.0, math.nan, 2.0]).mean)
    assert math.isnan(float(paired_difference([1.0, math.nan, 2.0], [1.0, 2.0, 3.0]).p_value))
    assert math.isnan(float(welch_difference([1.0, math.inf, 2.0], [1.0, 2.0, 3.0]).p_value))


def unknown(found: Difference) -> bool:
    return all(math.isnan(float(part)) for part in found[1:])


def test_single_runs_cannot_be_tested() -> None:
    assert unknown(paired_difference([1.0], [2.0]))
    assert unknown(welch_difference([1.0], [2.0, 3.0]))
    assert unknown(welch_from_errors(1.0, 0.1, 1, 2.0, 0.1, 9))
    assert float(welch_difference([1.0], [2.0, 3.0]).difference) == -1.5


@pytest.mark.parametrize("test", [paired_difference, welch_difference])
@pytest.mark.parametrize(("a", "b"), [([0.9, 0.9], [0.8, 0.8]), ([0.3, 0.3], [0.3, 0.3])])
def test_without_any_spread_the_error_is_unknown(test: TTest, a: list[float], b: list[float]) -> None:
    found = test(a, b)
    assert float(found.difference) == pytest.approx(a[0] - b[0])
    assert unknown(found)


def test_pairs_that_differ_by_the_same_amount_up_to_rounding_have_no_spread() -> None:
    assert unknown(paired_difference([0.3, 0.4, 0.9], [0.2, 0.3, 0.8]))  # .1, .10000000000000003, .1


def test_two_results_without_errors_have_an_unknown_difference() -> None:
    assert unknown(welch_from_errors(0.9, 0.0, 25, 0.8, 0.0, 25))


def test_equal_replicates_have_an_unknown_error() -> None:
    summary = summarise([0.9, 0.9, 0.9])
    assert (summary.mean, summary.n, summary.is_constant) == (pytest.approx(0.9), 3, True)
    assert all(math.isnan(part) for part in (summary.error, summary.ci_low, summary.ci_high))
    assert not summarise([0.9]).is_constant
    assert not summarise([0.9, 0.8999]).is_constant


def test_pairs_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"partner each.*\(2,\).*\(3,\)"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])


def test_a_single_number_is_no_sequence_of_replicates() -> None:
    with pytest.raises(ValueError, match="replicates come as a sequence"):
        paired_difference(3.0, 4.0)


def test_an_interval_of_level_95_is_refused_with_the_accepted_range() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1 \(such as 0.95\), got 95"):
        t_quantile(95, 3)


def test_effect_size_of_equal_spreads_is_hedges_g() -> None:
    # d = 1, 18 degrees of freedom: the correction is Γ(9) / (√9 Γ(17/2)), and Γ(17/2) = 2027025 √π / 256
    correction = 40_320 / (3 * 2_027_025 * math.sqrt(math.pi) / 256)
    assert effect_size(2.0, 2.0, 10, 2.0, 10) == pytest.approx(correction, rel=1e-12)


def test_effect_size_is_unbiased_in_small_samples() -> None:
    a, b = experiments(21, 4) + 1.0, experiments(22, 4)
    sizes = [
        effect_size(x.mean() - y.mean(), x.std(ddof=1), 4, y.std(ddof=1), 4)
        for x, y in zip(a[:8_000], b[:8_000], strict=True)
    ]
    assert np.mean(sizes) == pytest.approx(1.0, abs=0.06)


def test_effect_size_of_two_replicates_of_unequal_spread_is_unknown_not_zero() -> None:
    assert math.isnan(effect_size(-0.0079, 4e-5, 2, 4e-9, 2))
    assert effect_size(1.0, 0.5, 2, 0.5, 2) == pytest.approx(2 / math.sqrt(math.pi), rel=1e-12)  # df = 2, by hand


def test_effect_size_is_unknown_without_spread_or_replicates() -> None:
    assert math.isnan(effect_size(1.0, 0.0, 5, 0.0, 5))
    assert math.isnan(effect_size(1.0, math.nan, 1, 1.0, 5))


def test_half_of_the_interval_keeps_its_digits_beside_a_large_mean() -> None:
    values = [1.0 + i * 2.0**-49 for i in (0, 1, 2, 5)]
    steps = stats.ttest_1samp([0, 1, 2, 5], 0).confidence_interval()
    assert summarise(values).half_width == pytest.approx((steps.high - 2) * 2.0**-49, rel=1e-12)
