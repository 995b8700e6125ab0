"""Two levels: a published table of variance components, and coverage where one level alone covers too little."""

import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.intervals import paired_difference
from results.statistics.two_level import TwoLevelEstimate, two_level_difference, two_level_mean

N_EXPERIMENTS = 4_000
# Shrout and Fleiss 1979, "Intraclass correlations", Psychological Bulletin 86, table 2: six targets, four judges.
RATINGS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def crossed(seed: int, n_seeds: int, n_samples: int, sds: tuple[float, float, float]) -> np.ndarray:
    """Return values = seed + sample + residual with these standard deviations and mean 0."""
    rng = np.random.default_rng(seed)
    seeds = rng.normal(0, sds[0], size=(N_EXPERIMENTS, n_seeds, 1))
    samples = rng.normal(0, sds[1], size=(N_EXPERIMENTS, 1, n_samples))
    return seeds + samples + rng.normal(0, sds[2], size=(N_EXPERIMENTS, n_seeds, n_samples))


def coverage(found: TwoLevelEstimate) -> float:
    return float(np.mean((found.ci_low <= 0) & (found.ci_high >= 0)))


def test_the_variance_components_are_those_of_the_published_table() -> None:
    found = two_level_mean(RATINGS)  # table 3: mean squares 11.24 (targets), 32.49 (judges), 1.02 (residual)
    seed, sample, residual = 6 * found.seed_part, 4 * found.sample_part, 24 * found.residual_part
    assert float(residual) == pytest.approx(1.02, abs=0.005)
    assert float(seed) == pytest.approx((11.24 - 1.02) / 4, abs=0.005)
    assert float(sample) == pytest.approx((32.49 - 1.02) / 6, abs=0.005)
    assert float(seed / (seed + sample + residual)) == pytest.approx(0.29, abs=0.005)  # ICC(2,1), table 4
    assert float(found.estimate) == pytest.approx(np.mean(RATINGS))
    assert found.more_helps == "more samples"
    assert two_level_mean(np.transpose(RATINGS)).more_helps == "more seeds"


def test_without_variation_between_samples_the_error_is_the_one_over_seeds() -> None:
    seed_means = np.array([0.3, 0.5, 0.1, 0.4])
    noise = np.array([1.0, -1.0, 1.0, -1.0])  # of one seed against the next: the sample means are all equal
    values = seed_means[:, None] + 0.01 * np.outer(noise, [1.0, -1.0, 1.0, -1.0])
    found, plain = two_level_mean(values), paired_difference(values.mean(axis=-1), np.zeros(4))
    assert float(found.error) == pytest.approx(float(plain.error), rel=1e-12)
    assert float(found.ci_low) == pytest.approx(float(plain.ci_low), rel=1e-9)
    t = float(found.estimate / found.error)
    assert float(found.p_value) == pytest.approx(2 * stats.t.sf(t, 3), rel=1e-9)
    assert float(found.sample_part) == 0


@pytest.mark.parametrize("sds", [(1.0, 1.0, 1.0), (0.1, 1.0, 1.0), (1.0, 0.1, 1.0), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize(("n_seeds", "n_samples"), [(3, 20), (5, 100), (10, 50)])
def test_intervals_cover_the_truth_in_95_percent(n_seeds: int, n_samples: int, sds: tuple[float, ...]) -> None:
    assert coverage(two_level_mean(crossed(n_seeds, n_seeds, n_samples, sds))) > 0.94


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (3, 8), (5, 5)])
def test_differences_of_seeds_that_are_not_paired_are_covered_too(n_a: int, n_b: int) -> None:
    rng = np.random.default_rng(n_a)
    shared = rng.normal(0, 3, size=(N_EXPERIMENTS, 1, 40))  # hard samples are hard for both groups
    found = two_level_difference(
        crossed(1, n_a, 40, (0.3, 0.5, 1.0)) + shared, crossed(2, n_b, 40, (0.3, 0.5, 1.0)) + shared
    )
    assert 0.94 < coverage(found) < 0.985
    assert np.mean(found.p_value < 0.05) == pytest.approx(1 - coverage(found), abs=1e-12)


def test_over_seeds_alone_new_samples_are_covered_far_less() -> None:
    values = crossed(5, 5, 20, (0.2, 1.0, 0.5))
    plain = paired_difference(values.mean(axis=-1), np.zeros((N_EXPERIMENTS, 5)))
    assert np.mean((plain.ci_low <= 0) & (plain.ci_high >= 0)) < 0.75
    assert coverage(two_level_mean(values)) > 0.94


def test_the_parts_are_unbiased_where_they_are_large() -> None:
    found = two_level_mean(crossed(6, 8, 30, (1.0, 2.0, 3.0)))
    assert np.mean(found.seed_part) == pytest.approx(1 / 8, rel=0.05)
    assert np.mean(found.sample_part) == pytest.approx(4 / 30, rel=0.05)
    assert np.mean(found.residual_part) == pytest.approx(9 / 240, rel=0.02)


def test_a_difference_with_itself_has_no_spread_and_no_p_value() -> None:
    found = two_level_difference(RATINGS, RATINGS)
    assert float(found.estimate) == 0
    assert float(found.sample_part) == 0
    assert float(found.error) > 0  # two groups of seeds that happen to be equal are still two draws
    assert math.isnan(float(two_level_mean(np.zeros((3, 4))).p_value))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (5,)])
def test_one_seed_or_one_sample_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two seeds and two samples, got shape"):
        two_level_mean(np.zeros(shape))


def test_groups_with_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the same samples, got shapes \(2, 3\) and \(2, 4\)"):
        two_level_difference(np.zeros((2, 3)), np.zeros((2, 4)))
