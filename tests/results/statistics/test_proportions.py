"""Wilson's interval against SciPy's and published numbers, and its coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.proportions import wilson_interval
from results.text.proportions import interval_of


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 25), (25, 25), (1, 10), (7, 20), (999_999, 1_000_000)])
def test_wilson_interval_agrees_with_scipy(k: int, n: int, level: float) -> None:
    expected = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    found = wilson_interval(k, n, level)
    assert float(found.proportion) == k / n
    assert float(found.ci_low) == pytest.approx(expected.low, rel=1e-12, abs=1e-15)
    assert float(found.ci_high) == pytest.approx(expected.high, rel=1e-12)


def test_wilson_interval_gives_the_published_example() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    found = wilson_interval([81, 15, 0, 1], [263, 148, 20, 29])
    assert found.ci_low == pytest.approx([0.2553, 0.0624, 0.0, 0.0061], abs=5e-5)
    assert found.ci_high == pytest.approx([0.3662, 0.1605, 0.1611, 0.1718], abs=5e-5)


def test_all_right_and_all_wrong_are_no_certainty() -> None:
    right, wrong = wilson_interval(25, 25), wilson_interval(0, 25)
    z2 = 1.959963984540054**2
    assert float(right.ci_high) == 1.0
    assert float(right.ci_low) == pytest.approx(25 / (25 + z2), rel=1e-12)
    assert float(wrong.ci_low) == 0.0
    assert float(wrong.ci_high) == pytest.approx(z2 / (25 + z2), rel=1e-12)


def test_no_trials_give_no_interval() -> None:
    assert all(math.isnan(float(part)) for part in wilson_interval(0, 0))


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2), (math.nan, 2)])
def test_counts_that_cannot_be_are_refused(k: float, n: int) -> None:
    with pytest.raises(ValueError, match="successes lie between 0 and n, got successes="):
        wilson_interval(k, n)


def test_a_level_of_95_is_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1 \(such as 0.95\), got 95"):
        wilson_interval(1, 2, 95)


@pytest.mark.parametrize("n", [5, 10, 25, 100])
def test_coverage_averages_to_95_percent_over_all_proportions(n: int) -> None:
    p = np.linspace(0.001, 0.999, 999)
    interval = wilson_interval(np.arange(n + 1), n)
    inside = (interval.ci_low <= p[:, None]) & (p[:, None] <= interval.ci_high)
    coverage = np.sum(inside * stats.binom.pmf(np.arange(n + 1), n, p[:, None]), axis=1)  # exact, no simulation
    assert np.mean(coverage) == pytest.approx(0.952, abs=0.008)
    assert np.min(coverage) > 0.83


@pytest.mark.parametrize("n", [10, 50])
def test_values_between_0_and_1_are_covered_at_least_as_often(n: int) -> None:
    values = np.random.default_rng(n).beta(2.0, 1.0, size=(20_000, n))
    interval = wilson_interval(values.sum(axis=-1), n)
    assert np.mean((interval.ci_low <= 2 / 3) & (interval.ci_high >= 2 / 3)) > 0.95


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.0001, 2.0])
def test_an_error_beyond_that_of_independent_samples_widens_the_interval(factor: float) -> None:
    # 70 of 100 right; twice the standard error is that of 24.75 independent samples, since 0.21 / (n - 1) is variance
    found = interval_of(0.7, 100, factor * math.sqrt(0.7 * 0.3 / 99))
    n = 99 / 4 if factor == 2 else 100
    z = stats.norm.ppf(0.975)
    for end in found:  # the ends solve |0.7 - p| = z·sqrt(p(1 - p)/n)
        assert abs(0.7 - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n), rel=1e-9)


@pytest.mark.parametrize("error", [math.nan, 0.0])
@pytest.mark.parametrize("mean", [1.0, 0.7, 0.0])
def test_an_unknown_error_leaves_the_number_of_samples(mean: float, error: float) -> None:
    expected = stats.binomtest(round(mean * 10), 10).proportion_ci(method="wilson")
    assert interval_of(mean, 10, error) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-15)


def test_the_interval_of_clusters_of_unequal_size_covers_the_share() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([1, 1, 1, 1, 1, 5, 5, 10, 20, 40])
    right = (rng.random((2000, 10)) < 0.8) * sizes  # all samples of a cluster are alike
    shares = right.sum(1) / sizes.sum()
    errors = np.sqrt(10 / 9 * ((right - shares[:, None] * sizes) ** 2).sum(1)) / sizes.sum()
    covered = [low <= 0.8 <= high for low, high in map(interval_of, shares.tolist(), [10] * 2000, errors.tolist())]
    assert np.mean(covered) > 0.92  # with n = 10 in place of the effective number: 0.80
