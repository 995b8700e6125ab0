"""The test of memorisation: its level on fresh draws, its power against copies, and its permutation moments."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import pearson3

from core.diffusion.distances.memorisation import memorisation_p_value


def test_fresh_draws_are_called_copies_in_5_percent_of_cases() -> None:
    random = np.random.default_rng(0)
    found = [memorisation_p_value(random.standard_normal(120), random.standard_normal(90)) for _ in range(8000)]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.006)


def test_a_tenth_of_copies_is_found() -> None:
    random = np.random.default_rng(0)
    found = []
    for _ in range(200):
        samples = random.normal(10, 1, 500)
        samples[:50] = random.uniform(0, 0.01, 50)
        found.append(memorisation_p_value(samples, random.normal(10, 1, 359)) < 0.05)
    assert np.mean(found) > 0.95


def test_the_p_value_is_that_of_all_permutations_moments() -> None:
    distances = np.array([0.3, 2.0, 0.7, 0.1, 1.1, 5.0, 0.9])
    ranks = distances.argsort().argsort()
    scores = np.array([sum(1 / j for j in range(rank + 1, 8)) for rank in range(7)])[ranks]
    sums = np.array([scores[list(chosen)].sum() for chosen in itertools.combinations(range(7), 3)])
    centred = sums - sums.mean()
    skew = (centred**3).mean() / (centred**2).mean() ** 1.5
    expected = pearson3.sf((scores[:3].sum() - sums.mean()) / sums.std(), skew)
    assert memorisation_p_value(distances[:3], distances[3:]) == pytest.approx(expected, rel=1e-9)


def test_ties_share_their_scores() -> None:
    assert memorisation_p_value(np.array([1.0, 1.0]), np.array([1.0, 2.0])) == memorisation_p_value(
        np.array([1.0, 1.0])[::-1], np.array([2.0, 1.0])
    )
    assert memorisation_p_value(np.zeros(30), np.ones(30)) < 1e-6
    assert memorisation_p_value(np.ones(30), np.zeros(30)) > 0.999


def test_what_cannot_be_tested_is_nan_or_refused() -> None:
    assert math.isnan(memorisation_p_value(np.ones(3), np.ones(4)))
    assert math.isnan(memorisation_p_value(np.ones(0), np.ones(4)))
    with pytest.raises(ValueError, match="got 1 distances that are NaN"):
        memorisation_p_value(np.array([1.0, math.nan]), np.ones(4))
