"""Power and numbers of runs, against published tables and by simulating the experiment that was asked for."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from results.statistics.intervals import paired_difference, welch_difference
from results.statistics.power import detectable_difference, pairs_needed, runs_needed_per_group, sd_limits, t_test_power

N_EXPERIMENTS = 20_000


def normal(seed: int, n: int, spread: float, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, size=(N_EXPERIMENTS, n))


@pytest.mark.parametrize(("d", "n"), [(0.2, 394), (0.5, 64), (0.8, 26)])
def test_runs_per_group_for_cohens_small_medium_and_large_effects(d: float, n: int) -> None:
    # G*Power 3.1 (Faul et al. 2007): two-sided t test of two equal groups, alpha 0.05, power 0.80
    assert runs_needed_per_group(d, 1.0, 1.0) == n


@pytest.mark.parametrize(("d", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_pairs_for_cohens_small_medium_and_large_effects(d: float, n: int) -> None:
    # G*Power 3.1: two-sided paired t test, alpha 0.05, power 0.80
    assert pairs_needed(d, 1.0) == n
    assert pairs_needed(-d, 1.0) == n


@pytest.mark.parametrize("delta", [0.7, 1.0, 1.5])
def test_the_number_of_pairs_named_has_80_percent_power(delta: float) -> None:
    n = int(pairs_needed(delta, 1.4))
    found = paired_difference(normal(1, n, 1.0, delta), normal(2, n, math.sqrt(1.4**2 - 1)))
    assert 0.79 < np.mean(found.p_value < 0.05) < 0.85


@pytest.mark.parametrize(("delta", "spreads"), [(1.0, (1.0, 1.0)), (0.8, (0.5, 2.0)), (1.0, (0.3, 1.1))])
def test_the_number_of_runs_named_has_80_percent_power(delta: float, spreads: tuple[float, float]) -> None:
    n = int(runs_needed_per_group(delta, *spreads))
    found = welch_difference(normal(3, n, spreads[0], delta), normal(4, n, spreads[1]))
    assert 0.79 < np.mean(found.p_value < 0.05) < 0.85
    fewer = welch_difference(normal(5, n - 1, spreads[0], delta), normal(6, n - 1, spreads[1]))
    assert np.mean(fewer.p_value < 0.05) < 0.81


@pytest.mark.parametrize("n", [3, 5, 12])
def test_a_true_difference_of_the_detectable_size_is_found_in_80_percent(n: int) -> None:
    delta = detectable_difference(1.0 / math.sqrt(n), n - 1)
    found = paired_difference(normal(7, n, 1.0, delta), np.zeros((N_EXPERIMENTS, n)))
    assert np.mean(found.p_value < 0.05) == pytest.approx(0.8, abs=0.015)


def test_power_at_no_difference_is_the_error_rate() -> None:
    assert t_test_power(0.0, 7) == pytest.approx(0.05)


def power_by_integration(shift: float, df: float, alpha: float) -> float:
    """Return the power from the test's definition: a normal mean over the chi distribution of the estimated spread."""
    critical = stats.t.isf(alpha / 2, df)

    constant = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)

    def rejected(s: float) -> float:
        upper, lower = ((critical * s - sign * shift) / math.sqrt(2) for sign in (1, -1))
        return (math.erfc(upper) + math.erfc(lower)) / 2

    def density(s: float) -> float:
        return (
            math.exp(constant + (df - 1) * math.log(s) - df * s * s / 2) if s else float(df == 1) * math.exp(constant)
        )

    spread = stats.chi(df, scale=1 / math.sqrt(df))
    turn = shift / critical
    inside = [turn + k / critical for k in (-6, -2, 0, 2, 6)]
    ends = [*(spread.ppf(q) for q in (0.0, 1e-6, 0.01, 0.5, 0.99, 1 - 1e-6)), float(spread.isf(1e-15))]
    points = sorted({*ends, *(p for p in inside if 0 < p < ends[-1])})
    parts = [integrate.quad(lambda s: rejected(s) * density(s), a, b, epsabs=1e-11)[0] for a, b in pairwise(points)]
    return sum(parts)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.005, 0.001])
@pytest.mark.parametrize("df", [1, 1.3, 2, 2.7, 4, 9.5, 40, 99, 101, 2_000])
def test_power_agrees_with_numerical_integration(df: float, alpha: float) -> None:
    critical = stats.t.isf(alpha / 2, df)
    for shift in (0.0, 0.5, 2.0, 0.5 * critical, critical, 2 * critical, 5 * critical):
        assert t_test_power(shift, df, alpha) == pytest.approx(power_by_integration(shift, df, alpha), abs=1e-8)


@pytest.mark.parametrize("df", [3, 8, 30])
def test_power_agrees_with_scipys_noncentral_t_where_that_has_a_value(df: int) -> None:
    critical = stats.t.isf(0.025, df)
    for shift in (0.3, 1.0, 2.5):
        wanted = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
        assert t_test_power(shift, df) == pytest.approx(wanted, abs=1e-9)


def test_power_far_away_is_one() -> None:
    assert t_test_power(1e6, 4) == pytest.approx(1.0, abs=1e-12)
    assert t_test_power(60.0, 1) == pytest.approx(0.9999, abs=1e-3)
    assert t_test_power(math.inf, 1) == 1.0


@pytest.mark.parametrize("level", [0.95, 0.99])
@pytest.mark.parametrize(("n", "df"), [(2, 1.0), (2, 1.1), (2, 1.7), (2, 2.0), (3, 2.0), (3, 2.4), (3, 4.0)])
def test_two_or_three_replicates_have_a_detectable_difference(n: int, df: float, level: float) -> None:
    error = 0.01 / math.sqrt(n)
    found = detectable_difference(error, df, alpha=1 - level)
    assert power_by_integration(found / error, df, 1 - level) == pytest.approx(0.8, abs=1e-6)


def test_the_seeds_of_a_pair_of_small_groups_are_not_too_few() -> None:
    # differences -.01, -.02, -.03: sd .01. Two pairs would find .06 in 49% of experiments, three in 99%.
    assert power_by_integration(0.06 / (0.01 / math.sqrt(2)), 1, 0.05) == pytest.approx(0.49, abs=0.01)
    assert pairs_needed(0.06, 0.01) == 3


def test_the_fewest_runs_are_right_on_a_grid() -> None:
    for delta in np.geomspace(0.5, 50, 25):
        n = int(pairs_needed(delta, 1.0))
        assert power_by_integration(delta * math.sqrt(n), n - 1, 0.05) >= 0.8
        assert n == 2 or power_by_integration(delta * math.sqrt(n - 1), n - 2, 0.05) < 0.8


def test_without_spread_two_runs_are_enough_and_any_difference_shows() -> None:
    assert pairs_needed(0.1, 0.0) == 2
    assert runs_needed_per_group(0.1, 0.0, 0.0) == 2
    assert detectable_difference(0.0, 4) == 0.0


def test_an_unknown_spread_gives_an_unknown_answer() -> None:
    assert math.isnan(pairs_needed(0.1, math.nan))
    assert math.isnan(runs_needed_per_group(0.1, 1.0, math.nan))
    assert math.isnan(detectable_difference(math.nan, 0))


def test_a_number_of_runs_nobody_could_make_is_infinite() -> None:
    assert pairs_needed(1e-9, 1.0) == math.inf


def test_detecting_no_difference_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a finite number other than 0, got 0"):
        pairs_needed(0.0, 1.0)
    with pytest.raises(ValueError, match="must be a finite number other than 0, got nan"):
        runs_needed_per_group(math.nan, 1.0, 1.0)


def test_impossible_power_is_refused() -> None:
    with pytest.raises(ValueError, match="0 < alpha < power < 1"):
        detectable_difference(1.0, 3, power=1.0)


def test_the_interval_of_a_spread_covers_the_true_one() -> None:
    sds = normal(8, 5, 2.0).std(axis=-1, ddof=1)
    limits = [sd_limits(float(sd), 4) for sd in sds[:4_000]]
    covered = np.mean([low <= 2.0 <= high for low, high in limits])
    assert covered == pytest.approx(0.8, abs=0.02)
