"""The Fréchet distance against SciPy and closed forms, and its jackknife against one done by hand."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import linalg

from core.diffusion.frechet import N_GROUPS, FrechetReference, GroupedMoments, Moments

Array = NDArray[np.float64]


def reference_distance(a: Array, b: Array) -> float:
    """The distance as FID's own code has it: a general matrix square root of the product."""
    gap = a.mean(axis=0) - b.mean(axis=0)
    first, second = np.cov(a.T), np.cov(b.T)
    return float(gap @ gap + np.trace(first + second - 2 * linalg.sqrtm(first @ second).real))


def vectors(seed: int, n: int, shift: float = 0.0) -> Array:
    random = np.random.default_rng(seed)
    mixed: Array = random.standard_normal((n, 4)) @ random.standard_normal((4, 4)) + shift
    return mixed


def grouped(features: Array) -> GroupedMoments:
    moments = GroupedMoments()
    moments.add(np.arange(len(features)) % N_GROUPS, features)
    return moments


def test_distance_agrees_with_scipys_matrix_root() -> None:
    a, b = vectors(0, 200), vectors(1, 300, shift=0.5)
    assert FrechetReference(Moments.of(b)).distance(Moments.of(a)) == pytest.approx(reference_distance(a, b), rel=1e-9)


def test_distance_of_one_dimensional_normals_is_the_square_of_differences() -> None:
    # (m1 - m2)² + (s1 - s2)², with sample mean 1 and deviation sqrt(2), and mean 5 and deviation sqrt(8)
    a, b = np.array([[0.0], [2.0]]), np.array([[3.0], [7.0]])
    expected = 16 + (math.sqrt(8) - math.sqrt(2)) ** 2
    assert FrechetReference(Moments.of(b)).distance(Moments.of(a)) == pytest.approx(expected)


def test_distance_to_itself_is_0_even_where_some_features_never_vary() -> None:
    a = vectors(0, 50)
    a[:, 2] = -1
    assert FrechetReference(Moments.of(a)).distance(Moments.of(a)) == pytest.approx(0, abs=1e-12)


def test_batches_make_no_difference() -> None:
    a, reference = vectors(0, 103), FrechetReference(Moments.of(vectors(1, 60)))
    whole, parts = grouped(a), GroupedMoments()
    for start in range(0, 103, 7):
        stop = min(start + 7, 103)
        parts.add(np.arange(start, stop) % N_GROUPS, a[start:stop])
    assert parts.n == 103
    one, other = whole.distance(reference), parts.distance(reference)
    assert (other.mean, other.error) == pytest.approx((one.mean, one.error), rel=1e-9)


def test_jackknife_is_that_of_leaving_out_each_group() -> None:
    a, b = vectors(0, 90), vectors(1, 80)
    result = grouped(a).distance(FrechetReference(Moments.of(b)))
    left = [reference_distance(a[np.arange(90) % N_GROUPS != group], b) for group in range(N_GROUPS)]
    expected = math.sqrt((N_GROUPS - 1) / N_GROUPS * sum((value - np.mean(left)) ** 2 for value in left))
    assert result.mean == pytest.approx(reference_distance(a, b), rel=1e-9)
    assert result.error == pytest.approx(expected, rel=1e-6)
    assert result.n == N_GROUPS


def test_two_vectors_have_a_distance_and_no_error() -> None:
    result = grouped(vectors(0, 2)).distance(FrechetReference(Moments.of(vectors(1, 30))))
    assert math.isfinite(result.mean)
    assert math.isnan(result.error)


def test_jackknife_error_is_about_the_spread_over_repetitions() -> None:
    reference = FrechetReference(Moments.of(vectors(1, 200)))
    random = np.random.default_rng(2)
    results = [grouped(random.standard_normal((400, 4))).distance(reference) for _ in range(60)]
    spread = np.std([result.mean for result in results], ddof=1)
    assert np.mean([result.error for result in results]) == pytest.approx(spread, rel=0.35)
