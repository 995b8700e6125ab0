"""Precision and recall against the paper's definition written out, and their errors against reruns."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.diffusion.distances.precision_recall import PrecisionRecall, precision_recall, squared_distances

Array = NDArray[np.float64]


def covered_by_hand(values: Array, reach: Array, k: int = 3) -> float:
    radii = [sorted(np.linalg.norm(reach - center, axis=1))[k] for center in reach]
    return float(np.mean([any(np.linalg.norm(v - c) <= r for c, r in zip(reach, radii, strict=True)) for v in values]))


def measured(samples: Array, reference: Array) -> PrecisionRecall:
    return precision_recall(samples, reference, np.arange(len(samples)) % 20, np.arange(len(reference)) % 20)


def test_both_are_the_papers() -> None:
    random = np.random.default_rng(0)
    samples, reference = random.standard_normal((60, 3)) * 0.8 + 0.4, random.standard_normal((50, 3))
    found = measured(samples, reference)
    assert found.precision.mean == covered_by_hand(samples, reference)
    assert found.recall.mean == covered_by_hand(reference, samples)


def test_samples_of_one_mode_are_precise_and_reach_little() -> None:
    random = np.random.default_rng(0)
    reference = np.concatenate([random.standard_normal((100, 2)), random.standard_normal((100, 2)) + 20])
    found = measured(random.standard_normal((200, 2)) * 0.5, reference)
    assert found.precision.mean > 0.95
    assert found.recall.mean < 0.5


def test_a_share_of_1_rests_on_all_that_were_counted() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal((80, 2))
    found = measured(values, values)
    assert (found.precision.mean, found.precision.n) == (1.0, 80)


def test_errors_are_about_the_spread_over_reruns_and_n_agrees_with_them() -> None:
    random = np.random.default_rng(1)
    runs = [measured(0.7 * random.standard_normal((150, 4)), random.standard_normal((100, 4))) for _ in range(60)]
    for name in ("precision", "recall"):
        results = [getattr(run, name) for run in runs]
        spread = np.std([result.mean for result in results], ddof=1)
        errors = np.array([result.error for result in results])
        assert spread * 0.8 < np.sqrt((errors**2).mean()) < spread * 2
        share, error, n = results[0].mean, results[0].error, results[0].n
        assert np.sqrt(share * (1 - share) / n) == pytest.approx(error, rel=0.05)


def test_squared_distances_are_those_of_differences() -> None:
    random = np.random.default_rng(0)
    one, other = random.standard_normal((5, 3)) + 100, random.standard_normal((4, 3)) + 100
    assert squared_distances(one, other) == pytest.approx(((one[:, None] - other) ** 2).sum(-1), rel=1e-9)
    assert (squared_distances(one, one) >= 0).all()


def test_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="got 4 samples and 30 real images; accepted: at least 5"):
        measured(np.zeros((4, 2)), np.zeros((30, 2)))
