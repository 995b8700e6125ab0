"""Medians, trimmed means, ranks and permutations: SciPy's numbers, hand counts, and error rates under skew."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.intervals import welch_difference
from results.statistics.robust import (
    bootstrap_difference,
    iqm,
    median,
    permutation_test,
    probability_of_improvement,
    rank_test,
    smallest_p,
)

# Student 1908, hours of sleep gained with two drugs
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# Hollander and Wolfe 1973, p. 29: depression scores at two visits; R: wilcox.test(x, y, paired = TRUE), p = 0.03906
FIRST = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
SECOND = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
# Hollander and Wolfe 1973, p. 69: permeability; R: wilcox.test(x, y, alternative = "g"), W = 35, p = 0.1272
TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLY = [1.15, 0.88, 0.90, 0.74, 1.21]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 11])
def test_the_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(6, n))
    np.testing.assert_allclose(iqm(values), stats.trim_mean(values, 0.25, axis=-1), rtol=1e-12)


def test_the_median_and_the_interquartile_mean_ignore_one_diverged_run() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 1e9])
    assert float(iqm(values)) == 3.0
    assert float(median(values)) == 3.0


def test_wilcoxons_test_gives_the_published_p_value() -> None:
    assert rank_test(FIRST, SECOND, paired=True) == pytest.approx(0.03906, abs=5e-6)


def test_the_mann_whitney_test_gives_the_published_p_value() -> None:
    assert rank_test(TERM, EARLY) == pytest.approx(2 * 0.1272, abs=1e-4)


def test_ties_and_zero_differences_are_counted_exactly() -> None:
    # |differences| 0, 1, 1, 2 (ranks 1, 2.5, 2.5, 4), all to one side: 2 of the 16 signs (the zero's sign is free)
    expected = stats.wilcoxon([0.0, 1.0, 1.0, 2.0], method=stats.PermutationMethod()).pvalue
    assert rank_test([1.0, 2.0, 3.0, 5.0], [1.0, 1.0, 2.0, 3.0], paired=True) == pytest.approx(expected)
    # 1, 1 against 1, 2: of the 6 ways to deal out 1, 1, 1, 2, every one is as far from even as this one
    assert rank_test([1.0, 1.0], [1.0, 2.0]) == 1.0
    assert rank_test([1.0, 2.0], [1.0, 2.0], paired=True) == 1.0


def test_differences_that_are_equal_in_decimals_are_ties() -> None:
    a = [101, 380, 196, 266, 556, 473, 100, 590]  # in thousandths: 0.101 - 0.099 is not 0.002, but for rounding
    b = [99, 377, 194, 262, 553, 472, 102, 590]
    exact = stats.wilcoxon(np.subtract(a, b), method=stats.PermutationMethod()).pvalue
    assert exact == 0.078125
    assert rank_test([x / 1000 for x in a], [x / 1000 for x in b], paired=True) == exact


def test_the_permutation_test_counts_reassignments_by_hand() -> None:
    # 1, 2, 3 against 11, 12, 13: of 20 ways to deal, this one and its mirror image are the most extreme
    assert permutation_test([1.0, 2.0, 3.0], [11.0, 12.0, 13.0]) == pytest.approx(2 / 20)
    # differences 1, 2, 4, all positive: 2 of 8 signs
    assert permutation_test([2.0, 4.0, 7.0], [1.0, 2.0, 3.0], paired=True) == pytest.approx(2 / 8)


@pytest.mark.parametrize(("n", "paired"), [(3, False), (4, False), (5, True), (6, True)])
def test_the_smallest_p_value_is_reached_by_separated_groups(n: int, paired: bool) -> None:
    a, b = list(np.arange(n) + 0.1 * np.arange(n) ** 2 + 100.0), list(map(float, range(n)))
    assert rank_test(a, b, paired=paired) == pytest.approx(smallest_p(n, n, paired=paired), rel=1e-9)
    assert permutation_test(a, b, paired=paired) == pytest.approx(smallest_p(n, n, paired=paired), rel=1e-9)
    assert smallest_p(3, 3) == pytest.approx(0.1)
    assert smallest_p(5, 5, paired=True) == 0.0625


def test_probability_of_improvement_is_the_mann_whitney_share() -> None:
    share = stats.mannwhitneyu(TERM, EARLY).statistic / (len(TERM) * len(EARLY))
    found = probability_of_improvement(TERM, EARLY)
    assert found.estimate == pytest.approx(share, rel=1e-12)
    assert found.ci_low < share < found.ci_high
    assert probability_of_improvement(TERM, EARLY, higher_is_better=False).estimate == pytest.approx(1 - share)
    assert probability_of_improvement([1.0, 2.0], [1.0, 2.0]).estimate == 0.5  # 1 win, 2 ties, 1 loss


@pytest.mark.parametrize("statistic", [median, iqm])
def test_the_bootstrap_agrees_with_scipys(statistic: object) -> None:
    rng = np.random.default_rng(1)

    def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return statistic(np.moveaxis(a, axis, -1)) - statistic(np.moveaxis(b, axis, -1))

    expected = stats.bootstrap(
        (SLEEP_1, SLEEP_2), difference, method="percentile", n_resamples=10_000, rng=rng, vectorized=True
    ).confidence_interval
    found = bootstrap_difference(SLEEP_1, SLEEP_2, statistic)
    assert (found.ci_low, found.ci_high) == pytest.approx((expected.low, expected.high), abs=0.3)
    assert found.estimate == pytest.approx(float(statistic(np.array(SLEEP_1)) - statistic(np.array(SLEEP_2))))


def test_pairs_are_resampled_together() -> None:
    shared = np.random.default_rng(2).normal(0, 10, size=8)
    a, b = list(shared + np.linspace(0.9, 1.1, 8)), list(shared)
    paired, apart = bootstrap_difference(a, b, iqm, paired=True), bootstrap_difference(a, b, iqm)
    assert paired.ci_high - paired.ci_low < 0.2 < 5 < apart.ci_high - apart.ci_low
    assert bootstrap_difference(a, b, iqm, paired=True) == paired  # the same data, the same numbers


@pytest.mark.parametrize(("statistic", "n", "lowest"), [(median, 5, 0.93), (iqm, 5, 0.89), (iqm, 10, 0.93)])
def test_intervals_of_lognormal_groups_cover_about_as_often_as_documented(
    statistic: object, n: int, lowest: float
) -> None:
    pairs = np.random.default_rng(n).lognormal(size=(400, 2, n))
    found = [bootstrap_difference(a, b, statistic, n_resamples=500) for a, b in pairs]
    assert np.mean([one.ci_low <= 0 <= one.ci_high for one in found]) > lowest


@pytest.mark.parametrize("test", [rank_test, permutation_test])
def test_over_all_ways_to_deal_out_skewed_values_at_most_5_percent_are_called_different(test: object) -> None:
    values = np.random.default_rng(3).lognormal(sigma=2.0, size=8)
    deals = [list(chosen) for chosen in itertools.combinations(range(8), 4)]
    p_values = [test(values[deal], np.delete(values, deal)) for deal in deals]
    assert 0 < np.mean(np.array(p_values) < 0.05) <= 0.05


@pytest.mark.parametrize("test", [rank_test, permutation_test])
def test_over_all_swaps_of_partners_at_most_5_percent_are_called_different(test: object) -> None:
    sizes = np.random.default_rng(4).lognormal(sigma=2.0, size=6)
    p_values = [test(sizes * signs, np.zeros(6), paired=True) for signs in itertools.product([-1.0, 1.0], repeat=6)]
    assert 0 < np.mean(np.array(p_values) < 0.05) <= 0.05


def test_ranks_find_in_skewed_groups_what_welchs_test_misses() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.lognormal(1.5, 1.0, size=(300, 10)), rng.lognormal(0.0, 1.0, size=(300, 10))
    by_rank = np.mean([rank_test(x, y) < 0.05 for x, y in zip(a, b, strict=True)])
    assert by_rank > np.mean(welch_difference(a, b).p_value < 0.05) + 0.15


@pytest.mark.parametrize("paired", [False, True])
def test_one_or_no_run_gives_no_interval(paired: bool) -> None:
    one = bootstrap_difference([2.0], [1.0], iqm, paired=paired)
    assert one.estimate == 1.0
    assert math.isnan(one.ci_low)
    assert rank_test([2.0], [1.0], paired=paired) == 1.0
    assert math.isnan(bootstrap_difference([], [], median, paired=paired).estimate)
    assert math.isnan(rank_test([], [], paired=paired))
    assert math.isnan(permutation_test([], [], paired=paired))
    assert math.isnan(probability_of_improvement([], [1.0]).estimate)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs need a partner each, got 2 and 3 values"):
        rank_test([1.0, 2.0], [1.0, 2.0, 3.0], paired=True)
    with pytest.raises(ValueError, match="not finite cannot be ranked"):
        rank_test([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"one value per run is needed, got shape \(1, 2\)"):
        rank_test([[1.0, 2.0]], [1.0])


@pytest.mark.parametrize("paired", [True, False])
def test_without_spread_there_is_no_interval_of_width_0(paired: bool) -> None:
    found = bootstrap_difference([0.9, 0.9], [0.8, 0.8], iqm, paired=paired)
    assert found.estimate == pytest.approx(0.1)
    assert math.isnan(found.ci_low)
    assert math.isnan(found.ci_high)
    separated = probability_of_improvement([0.9, 0.95, 0.92], [0.8, 0.81, 0.83])  # three of three is no certainty
    assert separated.estimate == 1.0
    assert math.isnan(separated.ci_low)
    assert math.isnan(separated.ci_high)
