"""The corrected Fréchet distance: near 0 for real against real, near the truth elsewhere, refused for too few."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.diffusion.distances.corrected import corrected, shortage
from core.diffusion.distances.frechet import Frechet

Array = NDArray[np.float64]
SPREADS = 0.8 ** (np.arange(32) / 2)


def distance(x: Array, y: Array) -> Frechet:
    return Frechet(x, y, np.arange(len(x)) % 20, np.arange(len(y)) % 20)


def test_the_correction_is_the_jackknifes_of_both_sides() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((43, 3)), 2 * random.standard_normal((40, 3))
    groups = np.arange(43) % 4
    found = Frechet(x, y, groups, np.arange(40) % 4)
    value, sizes = found.value(), np.bincount(groups)
    whole = (np.zeros(43, dtype=np.int64), np.zeros(40, dtype=np.int64))
    without_x = [Frechet(x[groups != g], y, whole[0][groups != g], whole[1]).value() for g in range(4)]
    without_y = [Frechet(x, np.delete(y, slice(g, None, 4), 0), whole[0], whole[1][:30]).value() for g in range(4)]
    # Busing et al. 1999: g·value - sum (1 - n_j / n) value_(j), less the value itself for the second side
    expected = 4 * value - sum((1 - sizes / 43) * without_x) + 4 * value - 0.75 * sum(without_y) - value
    assert corrected(found).mean == pytest.approx(expected, rel=1e-6)


def test_real_against_real_is_near_0_where_the_raw_distance_is_not() -> None:
    random = np.random.default_rng(1)
    raw, results = [], []
    for _ in range(120):
        pair = distance(*(SPREADS * random.standard_normal((300, 32)) for _ in range(2)))
        raw.append(pair.value())
        results.append(corrected(pair))
    values, errors = (np.array([getattr(result, name) for result in results]) for name in ("mean", "error"))
    assert abs(values.mean()) < 0.1 * np.mean(raw)
    assert np.mean(raw) > 5 * errors.mean()
    assert 0.9 <= np.mean(abs(values) < 2 * errors) <= 0.99
    assert (values < 0).any()
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.15)


def test_a_known_distance_is_found_within_its_error() -> None:
    # normals whose means differ by 1 in one direction and whose spread is 1.5-fold in another
    spreads = np.where(np.arange(32) == 3, 1.5 * SPREADS, SPREADS)
    truth = 1 + (0.5 * SPREADS[3]) ** 2
    random = np.random.default_rng(2)
    results = []
    for _ in range(80):
        x = spreads * random.standard_normal((300, 32))
        x[:, 1] += 1
        results.append(corrected(distance(x, SPREADS * random.standard_normal((250, 32)))))
    values, errors = (np.array([getattr(result, name) for result in results]) for name in ("mean", "error"))
    assert values.mean() == pytest.approx(truth, abs=3 * values.std() / np.sqrt(80) + 0.01)
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.2)


def test_features_that_never_vary_change_nothing() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((90, 3)), random.standard_normal((80, 3))
    wider = distance(*(np.concatenate([values, np.full((len(values), 2), -1.0)], axis=1) for values in (x, y)))
    one, other = corrected(distance(x, y)), corrected(wider)
    assert (other.mean, other.error) == (pytest.approx(one.mean, abs=1e-6), pytest.approx(one.error, rel=1e-6))


def test_too_few_vectors_are_refused_with_what_to_do() -> None:
    random = np.random.default_rng(0)
    few = distance(random.standard_normal((63, 32)), random.standard_normal((64, 32)))
    with pytest.raises(ValueError, match="63 samples are fewer than two for each of 32 dimensions; take more, or "):
        corrected(few)
    assert shortage(64, 64, 32) == ""
    assert "10 held-out images are fewer" in shortage(100, 10, 32)
    with pytest.raises(ValueError, match=r"got \[2, 20\] groups; accepted: at least 4"):
        corrected(Frechet(np.eye(40, 3), np.eye(40, 3), np.arange(40) % 2, np.arange(40) % 20))
