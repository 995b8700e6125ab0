"""U-statistics of two sets against sums by hand and full enumeration, and KID against its textbook form."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from core.diffusion.distances.kid import kid
from core.diffusion.distances.two_sample import cross_interaction, interaction, squared_mean_distance

Array = NDArray[np.float64]


def kernel(a: Array, b: Array) -> float:
    return float((np.dot(a, b) / len(a) + 1) ** 3)


def kid_by_loops(x: Array, y: Array) -> float:
    within = [np.mean([kernel(one, other) for one, other in itertools.permutations(values, 2)]) for values in (x, y)]
    return float(sum(within) - 2 * np.mean([kernel(one, other) for one in x for other in y]))


def every_one(values: Array) -> NDArray[np.int64]:
    return np.arange(len(values))


def test_kid_takes_every_pair_of_different_vectors() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((7, 3)), random.standard_normal((5, 3)) + 0.5
    assert kid(x, y, every_one(x), every_one(y)).mean == pytest.approx(kid_by_loops(x, y), rel=1e-12)


def test_kid_of_units_takes_every_pair_of_different_units() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((6, 3)), random.standard_normal((5, 3))
    units = np.array([0, 0, 1, 1, 2, 2])
    pairs = [(i, j) for i, j in itertools.permutations(range(6), 2) if units[i] != units[j]]
    expected = (
        kid_by_loops(x, y)
        - np.mean([kernel(x[i], x[j]) for i, j in itertools.permutations(range(6), 2)])
        + np.mean([kernel(x[i], x[j]) for i, j in pairs])
    )
    assert kid(x, y, units, every_one(y)).mean == pytest.approx(expected, rel=1e-12)


def test_many_vectors_are_taken_in_blocks() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((1203, 2)), random.standard_normal((40, 2))
    gram = (x @ x.T / 2 + 1) ** 3
    within = (gram.sum() - np.trace(gram)) / (1203 * 1202)
    other = (y @ y.T / 2 + 1) ** 3
    expected = within + (other.sum() - np.trace(other)) / (40 * 39) - 2 * ((x @ y.T / 2 + 1) ** 3).mean()
    assert kid(x, y, every_one(x), every_one(y)).mean == pytest.approx(expected, rel=1e-10)


def test_the_interaction_is_unbiased_for_the_square_of_the_centred_kernel() -> None:
    # all samples of size 4, with replacement, from three equally likely points, whose centred kernel is known
    points = np.array([[0.0, 1.0], [2.0, -1.0], [1.0, 3.0]])
    centred = points - points.mean(axis=0)
    expected = np.mean((centred @ centred.T) ** 2)
    found = []
    for chosen in itertools.product(range(3), repeat=4):
        values = points[list(chosen)]
        found.append(interaction(values @ values.T))
    assert np.mean(found) == pytest.approx(expected, rel=1e-12)
    found = []
    for one in itertools.product(range(3), repeat=3):
        for other in itertools.product(range(3), repeat=2):
            found.append(cross_interaction(points[list(one)] @ points[list(other)].T))
    assert np.mean(found) == pytest.approx(expected, rel=1e-12)


def test_few_units_have_an_estimate_and_no_error() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((3, 2)), random.standard_normal((9, 2))
    estimate, error = squared_mean_distance(x @ x.T, y @ y.T, x @ y.T)
    gap = x.mean(axis=0) - y.mean(axis=0)
    expected = gap @ gap - x.var(axis=0, ddof=1).sum() / 3 - y.var(axis=0, ddof=1).sum() / 9
    assert estimate == pytest.approx(expected, rel=1e-9)
    assert math.isnan(error)


def test_one_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1 and 9 units; accepted: at least 2 of each"):
        squared_mean_distance(np.ones((1, 1)), np.ones((9, 9)), np.ones((1, 9)))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_kids_error_is_the_spread_over_reruns(shift: float) -> None:
    random = np.random.default_rng(3)
    results = []
    for _ in range(400):
        x, y = random.standard_normal((80, 4)), random.standard_normal((60, 4))
        x[:, 0] += shift
        results.append(kid(x, y, every_one(x), every_one(y)))
    spread = np.std([result.mean for result in results], ddof=1)
    assert np.mean([result.error for result in results]) == pytest.approx(spread, rel=0.1)
    if shift == 0:
        assert np.mean([result.mean for result in results]) == pytest.approx(0, abs=3 * spread / 20)
