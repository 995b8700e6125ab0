"""Intervals of a result and of a function of it: values from a t table, and their coverage by simulation."""

import math

import numpy as np
import pytest

from core.utils.meters import Meter
from core.utils.results import ScalarResult


@pytest.mark.parametrize(
    ("n", "level", "t"),
    [(2, 0.95, 12.706), (3, 0.95, 4.303), (11, 0.9, 1.812), (31, 0.99, 2.750), (10**9, 0.95, 1.960)],
)
def test_an_interval_is_students_t_with_one_degree_of_freedom_less_than_observations(n, level, t) -> None:
    """Quantiles from the table in NIST's handbook, 1.3.6.7.2."""
    low, high = ScalarResult(10.0, 2.0, n).interval(level)
    assert (low, high) == (pytest.approx(10 - 2 * t, abs=2e-3), pytest.approx(10 + 2 * t, abs=2e-3))


@pytest.mark.parametrize(
    "result",
    [ScalarResult(1.0, 0.5), ScalarResult(1.0, math.nan, 5), ScalarResult(1.0, 0.5, 1), ScalarResult(math.nan, 1.0, 9)],
)
def test_an_interval_is_unknown_where_its_parts_are(result) -> None:
    assert all(map(math.isnan, result.interval()))
    assert "interval unknown" in str(result.map(math.exp))


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, math.nan])
def test_a_level_that_is_no_probability_is_refused(level) -> None:
    with pytest.raises(ValueError, match=r"level: got .*between 0 and 1"):
        ScalarResult(1.0, 0.5, 3).interval(level)


def test_a_function_maps_the_ends_and_a_decreasing_one_swaps_them() -> None:
    result = ScalarResult(1.0, 0.5, 3)
    low, high = result.interval(0.9)
    perplexity, opposite = result.map(math.exp), result.map(lambda x: -x)
    assert (perplexity.value, perplexity.interval(0.9)) == (math.e, (math.exp(low), math.exp(high)))
    assert (opposite.value, opposite.interval(0.9)) == (-1.0, (-high, -low))
    assert str(ScalarResult(0.0, 0.0, 3).map(math.exp)) == "1 (interval unknown)"  # all equal: the error is unknown


def test_intervals_of_perplexity_over_200_documents_cover_95_percent() -> None:
    """Nats and tokens per document, of unequal length; the true perplexity is exp(E[nats] / E[tokens])."""
    rng = np.random.default_rng(7)
    n_runs, covered = 2000, 0
    for _ in range(n_runs):
        tokens = rng.integers(100, 1000, 200)
        nats = tokens * rng.normal(3.0, 0.5, 200)
        meter = Meter(pairs=[("nats", "tokens")])
        meter.update(nats=nats, tokens=tokens)
        low, high = meter.ratio("nats", "tokens").map(math.exp).interval(0.95)
        covered += low <= math.exp(3.0) <= high
    assert 0.94 <= covered / n_runs <= 0.96


def batch_means(sizes: np.ndarray, n_runs: int) -> np.ndarray:
    """Return the means of batches whose samples have a batch effect of 0.5 standard deviations."""
    rng = np.random.default_rng(5)
    shape = (n_runs, len(sizes))
    return 0.5 * rng.standard_normal(shape) + rng.standard_normal(shape) / np.sqrt(sizes)


@pytest.mark.parametrize(
    ("sizes", "of_means", "of_ratio"),
    [([512, 32, 32, 32], 0.14, 0.07), (np.linspace(100, 500, 40).astype(int), 0.89, 0.99)],
)
def test_what_batch_effects_do_to_the_squared_error(sizes, of_means, of_ratio) -> None:
    """The figures that docs/meter.md quotes: the squared error as a part of the true variance of the mean."""
    sizes = np.asarray(sizes)
    n_runs = 1000
    squares, means = np.zeros((n_runs, 2)), np.zeros(n_runs)
    for run, batches in enumerate(batch_means(sizes, n_runs)):
        meter = Meter("mean")
        for mean, size in zip(batches.tolist(), sizes.tolist(), strict=True):
            meter.update(mean=mean, n=size)
        pair = Meter(pairs=[("sum", "count")])
        pair.update(sum=batches * sizes, count=sizes)
        squares[run] = meter.error("mean") ** 2, pair.ratio("sum", "count").error ** 2
        means[run] = meter.mean("mean")
    truth = float(np.sum(sizes**2 * (0.25 + 1 / sizes)) / sizes.sum() ** 2)
    assert np.var(means) == pytest.approx(truth, rel=0.1)
    assert squares.mean(axis=0) / truth == pytest.approx([of_means, of_ratio], rel=0.1)
