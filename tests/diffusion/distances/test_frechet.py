"""The Fréchet distance against SciPy, closed forms and 40-digit arithmetic, and its jackknife against one by hand."""

import math
import tracemalloc

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import linalg

from core.diffusion.distances.frechet import Frechet, jackknife_error

Array = NDArray[np.float64]
N_GROUPS = 20


def reference_distance(a: Array, b: Array) -> float:
    """The distance as FID's own code has it: a general matrix square root of the product."""
    gap = a.mean(axis=0) - b.mean(axis=0)
    first, second = np.cov(a.T), np.cov(b.T)
    return float(gap @ gap + np.trace(first + second - 2 * linalg.sqrtm(first @ second).real))


def dense_distance_in_40_digits(a: Array, b: Array) -> float:
    """The dense formula, d × d covariances and all, whose zero eigenvalues double precision cannot tell from 1e-16."""
    with mpmath.workdps(40):
        covariances = []
        for values in (a, b):
            x = mpmath.matrix(values.tolist())
            n = x.rows
            mean = mpmath.ones(1, n) * x / n
            centred = x - mpmath.ones(n, 1) * mean
            covariances.append((centred.T * centred / (n - 1), mean))
        (first, mean_a), (second, mean_b) = covariances
        values, vectors = mpmath.eigsy(first)
        root = vectors * mpmath.diag([mpmath.sqrt(max(value, 0)) for value in values]) * vectors.T
        product = root * second * root
        shared = sum(mpmath.sqrt(max(v, 0)) for v in mpmath.eigsy((product + product.T) / 2, eigvals_only=True))
        gap = mpmath.norm(mean_a - mean_b) ** 2
        trace = sum(first[i, i] + second[i, i] for i in range(first.rows))
        return float(gap + trace - 2 * shared)


def vectors(seed: int, n: int, d: int = 4, shift: float = 0.0) -> Array:
    random = np.random.default_rng(seed)
    mixed: Array = random.standard_normal((n, d)) @ random.standard_normal((d, d)) + shift
    return mixed


def grouped(a: Array, b: Array) -> Frechet:
    return Frechet(a, b, np.arange(len(a)) % N_GROUPS, np.arange(len(b)) % N_GROUPS)


def test_distance_agrees_with_scipys_matrix_root() -> None:
    a, b = vectors(0, 200), vectors(1, 300, shift=0.5)
    assert grouped(a, b).value() == pytest.approx(reference_distance(a, b), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(6, 5), (5, 8), (7, 20), (20, 6), (9, 9)])
def test_fewer_vectors_than_dimensions_have_the_dense_formulas_distance(n: int, m: int) -> None:
    a, b = vectors(0, n, 9), vectors(1, m, 9, shift=0.3)
    assert grouped(a, b).value() == pytest.approx(dense_distance_in_40_digits(a, b), rel=1e-11)


def test_distance_of_one_dimensional_normals_is_the_square_of_differences() -> None:
    # (m1 - m2)² + (s1 - s2)², with sample mean 1 and deviation sqrt(2), and mean 5 and deviation sqrt(8)
    a, b = np.array([[0.0], [2.0]]), np.array([[3.0], [7.0]])
    expected = 16 + (math.sqrt(8) - math.sqrt(2)) ** 2
    assert grouped(a, b).value() == pytest.approx(expected)


def test_distance_to_itself_is_0_even_where_some_features_never_vary() -> None:
    a = vectors(0, 50)
    a[:, 2] = -1
    assert grouped(a, a).value() == pytest.approx(0, abs=1e-12)


def test_a_common_shift_makes_no_difference() -> None:
    a, b = vectors(0, 30, 40), vectors(1, 25, 40)
    assert grouped(a + 1000, b + 1000).value() == pytest.approx(grouped(a, b).value(), rel=1e-9)


@pytest.mark.parametrize("d", [4, 120])
def test_jackknife_leaves_out_each_group_of_either_side(d: int) -> None:
    a, b = vectors(0, 90, d), vectors(1, 80, d)
    distance = grouped(a, b)
    kept_a, kept_b = (
        [values[np.arange(len(values)) % N_GROUPS != group] for group in range(N_GROUPS)] for values in (a, b)
    )

    def dense(one: Array, other: Array) -> float:
        return grouped(one, other).value()  # held to the dense formula above

    assert distance.without_sample_groups() == pytest.approx([dense(kept, b) for kept in kept_a], rel=1e-6)
    assert distance.without_reference_groups() == pytest.approx([dense(a, kept) for kept in kept_b], rel=1e-6)


def test_the_jackknife_error_is_that_of_the_textbook() -> None:
    a, b = vectors(0, 90), vectors(1, 80)
    left = [reference_distance(a[np.arange(90) % N_GROUPS != group], b) for group in range(N_GROUPS)]
    expected = math.sqrt((N_GROUPS - 1) / N_GROUPS * sum((value - np.mean(left)) ** 2 for value in left))
    assert jackknife_error(grouped(a, b).without_sample_groups()) == pytest.approx(expected, rel=1e-6)


def test_two_vectors_have_a_distance_and_no_error() -> None:
    distance = grouped(vectors(0, 2), vectors(1, 30))
    assert math.isfinite(distance.value())
    assert math.isnan(jackknife_error(distance.without_sample_groups()))
    assert math.isnan(jackknife_error(np.array([1.0])))


def test_one_vector_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 4\) samples .* accepted: at least two of each"):
        grouped(vectors(0, 1), vectors(1, 30))


def test_jackknife_error_is_about_the_spread_over_repetitions() -> None:
    reference = vectors(1, 200)
    random = np.random.default_rng(2)
    repeats = [grouped(random.standard_normal((400, 4)), reference) for _ in range(60)]
    spread = np.std([repeat.value() for repeat in repeats], ddof=1)
    errors = [jackknife_error(repeat.without_sample_groups()) for repeat in repeats]
    assert np.mean(errors) == pytest.approx(spread, rel=0.35)


def test_colour_images_need_no_matrix_of_their_dimension() -> None:
    d = 3 * 64 * 64
    random = np.random.default_rng(0)
    a, b = random.standard_normal((40, d)), random.standard_normal((30, d))
    tracemalloc.start()
    try:
        distance = grouped(a, b)
        assert math.isfinite(distance.value())
        assert np.isfinite(distance.without_sample_groups()).all()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * d * d / 20
