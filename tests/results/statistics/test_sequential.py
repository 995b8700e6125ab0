"""The sequential t test: equal to its definition as an integral, and honest over all looks together."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from results.statistics.power import pairs_needed
from results.statistics.sequential import PRIOR_PRECISION, sequential_t_test

N_EXPERIMENTS = 20_000
MOST_LOOKS = 50


def replicates(seed: int, effect: float, n: int = MOST_LOOKS, n_experiments: int = N_EXPERIMENTS) -> np.ndarray:
    return np.random.default_rng(seed).normal(effect, 1.0, size=(n_experiments, n))


def first_look(p_value: np.ndarray) -> np.ndarray:
    """Return the number of replicates at the first look with p < 0.05, infinite where there is none."""
    found = p_value < 0.05
    return np.where(found.any(axis=-1), found.argmax(axis=-1) + 1.0, np.inf)


def mixture_ratio(values: np.ndarray, c2: float) -> float:
    """Return the likelihood ratio of the t statistic, by numerical integration over normal effect sizes."""
    n = len(values)
    t = math.sqrt(n) * values.mean() / values.std(ddof=1)

    def weighted(effect: float) -> float:
        return float(stats.nct.pdf(t, n - 1, math.sqrt(n) * effect) * stats.norm.pdf(effect, 0, 1 / math.sqrt(c2)))

    return float(integrate.quad(weighted, -15, 15, points=[0.0], limit=200)[0] / stats.t.pdf(t, n - 1))


@pytest.mark.parametrize("c2", [PRIOR_PRECISION, 1.0])
@pytest.mark.parametrize("n", [3, 5, 8])
def test_the_p_value_is_one_over_the_mixtures_likelihood_ratio(n: int, c2: float) -> None:
    values = np.random.default_rng(n).normal(1.0, 1.0, size=n)
    ratios = [mixture_ratio(values[:k], c2) for k in range(2, n + 1)]
    found = sequential_t_test(values, prior_precision=c2).p_value
    assert found[0] == 1.0  # one replicate says nothing of an unknown variance
    assert found[-1] == pytest.approx(min(1.0, 1 / max(ratios)), rel=1e-6)


def test_over_all_looks_from_2_to_50_it_errs_in_at_most_5_percent() -> None:
    wrong = np.mean(first_look(sequential_t_test(replicates(1, 0.0)).p_value) <= MOST_LOOKS)
    assert 0.015 < wrong < 0.05


def test_the_ordinary_test_at_every_look_would_err_in_about_34_percent() -> None:
    values = replicates(2, 0.0, n_experiments=4_000)
    n = np.arange(2, MOST_LOOKS + 1)
    errors = np.stack([values[:, :k].std(axis=-1, ddof=1) / math.sqrt(k) for k in n], axis=-1)
    t = (np.cumsum(values, axis=-1)[:, 1:] / n) / errors
    assert np.mean((np.abs(t) > stats.t.ppf(0.975, n - 1)).any(axis=-1)) == pytest.approx(0.34, abs=0.03)


def test_all_intervals_together_cover_the_mean_in_over_95_percent() -> None:
    found = sequential_t_test(replicates(3, 0.7))
    covered = (found.ci_low <= 0.7) & (found.ci_high >= 0.7)
    assert np.mean(covered.all(axis=-1)) > 0.95


def test_the_interval_excludes_the_value_exactly_where_the_p_value_resolves_it() -> None:
    found = sequential_t_test(replicates(4, 0.5, n_experiments=2_000), 0.1)
    outside = (found.ci_low > 0.1) | (found.ci_high < 0.1)
    np.testing.assert_array_equal(outside, found.p_value < 0.05)


@pytest.mark.parametrize(("effect", "typical"), [(1.0, 14), (2.0, 6), (3.0, 5)])
def test_a_large_effect_stops_long_before_a_fixed_plan_for_half_a_standard_deviation(
    effect: float, typical: int
) -> None:
    looks = first_look(sequential_t_test(replicates(5, effect, 40, 4_000)).p_value)
    planned = pairs_needed(0.5, 1.0)
    assert planned == 34  # Cohen 1988, table 2.4.1: a paired test of d = 0.5 at 80% power
    assert np.median(looks) == pytest.approx(typical, abs=1)
    assert np.mean(looks <= planned) > 0.98


def test_scale_and_sign_do_not_matter() -> None:
    values = replicates(6, 1.0, 10, 20)
    one, other = sequential_t_test(values), sequential_t_test(-1e-6 * values)
    np.testing.assert_allclose(one.p_value, other.p_value, rtol=1e-9)
    np.testing.assert_allclose(one.ci_low, -1e6 * other.ci_high, rtol=1e-9)


def test_an_offset_costs_no_digits() -> None:
    values = replicates(7, 0.0, 10, 20)
    moved = sequential_t_test(values + 2.0**30, 2.0**30)
    np.testing.assert_allclose(moved.p_value, sequential_t_test(values).p_value, rtol=1e-5)


def test_equal_values_are_no_evidence() -> None:
    found = sequential_t_test([0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert (found.p_value == 1.0).all()
    assert (found.ci_low == -math.inf).all()


def test_a_nan_makes_all_later_looks_unknown() -> None:
    found = sequential_t_test([1.0, 2.0, math.nan, 1.5])
    assert np.isnan(found.p_value).tolist() == [False, False, True, True]


def test_no_replicate_gives_no_look() -> None:
    assert sequential_t_test([]).p_value.shape == (0,)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1 \(such as 0.95\), got 95"):
        sequential_t_test([1.0, 2.0], level=95)
    with pytest.raises(ValueError, match="precision is positive, got 0"):
        sequential_t_test([1.0, 2.0], prior_precision=0)
