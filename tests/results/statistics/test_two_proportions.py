"""Score tests of two proportions against published intervals, SciPy, and their exact error rates."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from results.statistics.two_proportions import (
    PairedCounts,
    SeparateCounts,
    score_equivalence,
    score_error,
    score_interval,
    score_p_value,
)

SEPARATE = st.integers(1, 30).flatmap(
    lambda n: st.builds(SeparateCounts, st.integers(0, n), st.just(n), st.integers(0, 17), st.just(17))
)
PAIRED = st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(1, 15)).map(
    lambda found: PairedCounts(found[0], found[1], sum(found))
)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0528, 0.3382),
        ((9, 10, 3, 10), 0.1700, 0.8406),
        ((6, 7, 2, 7), 0.0342, 0.8534),
        ((5, 56, 0, 29), -0.0326, 0.1933),
        ((0, 10, 0, 20), -0.1658, 0.2844),
        ((10, 10, 0, 20), 0.7156, 1.0),
    ],
)
def test_intervals_of_separate_samples_are_the_published_ones(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    # Newcombe 1998, "Interval estimation for the difference between independent proportions", table II, method 6
    assert score_interval(SeparateCounts(*counts), 0.95) == pytest.approx((low, high), abs=5e-5)


@given(SEPARATE)
def test_the_test_of_separate_samples_is_scipys_chi_square_test_with_n_minus_1(counts: SeparateCounts) -> None:
    right = counts.right_a + counts.right_b
    n = counts.n_a + counts.n_b
    if right in {0, n}:
        assert score_p_value(counts) == 1
        return
    table = [[counts.right_a, counts.n_a - counts.right_a], [counts.right_b, counts.n_b - counts.right_b]]
    statistic = stats.chi2_contingency(table, correction=False).statistic * (n - 1) / n
    assert score_p_value(counts) == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-9)


@pytest.mark.parametrize("delta", [-0.3, 0.1, 0.45])
def test_the_variance_of_separate_samples_is_that_of_the_most_likely_shares(delta: float) -> None:
    counts = SeparateCounts(7, 12, 5, 20)

    def minus_log_likelihood(share: float) -> float:
        return -stats.binom.logpmf(7, 12, share) - stats.binom.logpmf(5, 20, share - delta)

    bounds = max(0.0, delta) + 1e-9, min(1.0, 1 + delta) - 1e-9
    p = optimize.minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = (p * (1 - p) / 12 + (p - delta) * (1 - p + delta) / 20) * 32 / 31
    assert counts.z(delta) == pytest.approx((7 / 12 - 5 / 20 - delta) / math.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize("delta", [-0.2, 0.05, 0.4])
def test_the_variance_of_pairs_is_that_of_the_most_likely_shares(delta: float) -> None:
    counts = PairedCounts(9, 4, 30)

    def minus_log_likelihood(only_b: float) -> float:
        shares = np.array([only_b + delta, only_b, 1 - 2 * only_b - delta])
        return -float(np.sum(np.array([9, 4, 17]) * np.log(shares)))

    bounds = max(0.0, -delta) + 1e-9, (1 - delta) / 2 - 1e-9
    q = optimize.minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = (2 * q + delta - delta**2) / 30
    assert counts.z(delta) == pytest.approx((5 / 30 - delta) / math.sqrt(variance), rel=1e-6)


def test_the_test_of_pairs_is_mcnemars() -> None:
    # (b - c)^2 / (b + c) = 100 / 14
    assert score_p_value(PairedCounts(12, 2, 50)) == pytest.approx(stats.chi2.sf(100 / 14, 1), rel=1e-12)


@given(st.one_of(SEPARATE, PAIRED), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_the_interval_excludes_zero_exactly_if_the_test_rejects(
    counts: SeparateCounts | PairedCounts, level: float
) -> None:
    low, high = score_interval(counts, level)
    assert -1 <= low <= counts.difference <= high <= 1
    p = score_p_value(counts)
    if not math.isclose(p, 1 - level, rel_tol=1e-6):
        assert (low > 0 or high < 0) == (p < 1 - level)
    assert score_error(counts) > 0


@given(st.one_of(SEPARATE, PAIRED), st.sampled_from([0.05, 0.2, 0.5]))
def test_equivalence_is_shown_exactly_if_the_90_percent_interval_lies_within(
    counts: SeparateCounts | PairedCounts, margin: float
) -> None:
    p = score_equivalence(counts, margin)
    low, high = score_interval(counts, 0.9)
    if not math.isclose(p, 0.05, rel_tol=1e-6):
        assert (-margin < low and high < margin) == (p < 0.05)


@pytest.mark.parametrize(("n", "at_most"), [(10, 0.045), (25, 0.066), (50, 0.058)])
def test_separate_samples_of_equal_share_are_called_different_in_about_5_percent(n: int, at_most: float) -> None:
    p_values = np.array([[score_p_value(SeparateCounts(i, n, j, n)) for j in range(n + 1)] for i in range(n + 1)])
    chance = stats.binom.pmf(np.arange(n + 1), n, np.linspace(0.005, 0.995, 199)[:, None])
    rate = np.einsum("qi,ij,qj->q", chance, p_values < 0.05, chance)  # exact, no simulation
    assert np.max(rate) <= at_most
    assert np.mean(rate) <= 0.0501


@pytest.mark.parametrize(("n", "at_most"), [(10, 0.054), (25, 0.055), (50, 0.065)])
def test_pairs_without_a_difference_are_called_different_in_about_5_percent(n: int, at_most: float) -> None:
    differ = np.linspace(0.02, 1, 50)  # share of pairs in which only one is right
    rate = np.zeros_like(differ)
    for m, k in itertools.product(range(n + 1), repeat=2):
        if k <= m and score_p_value(PairedCounts(k, m - k, n)) < 0.05:
            rate += stats.binom.pmf(m, n, differ) * stats.binom.pmf(k, m, 0.5)
    assert np.max(rate) <= at_most
    assert np.mean(rate) <= 0.05


def test_intervals_of_separate_samples_cover_95_percent_on_average() -> None:
    n, m = 15, 10
    shares = np.linspace(0.02, 0.98, 13)
    covered = np.zeros((13, 13))
    for i, j in itertools.product(range(n + 1), range(m + 1)):
        low, high = score_interval(SeparateCounts(i, n, j, m), 0.95)
        inside = (low <= shares[:, None] - shares) & (shares[:, None] - shares <= high)
        covered += inside * stats.binom.pmf(i, n, shares)[:, None] * stats.binom.pmf(j, m, shares)
    assert np.mean(covered) == pytest.approx(0.955, abs=0.01)
    assert np.min(covered) > 0.9
