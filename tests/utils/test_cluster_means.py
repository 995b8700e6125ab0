"""ClusteredMean: exact sums by cluster, equal to the published formula, whatever the order and split."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from core.utils.cluster_means import ClusteredMean
from core.utils.meters import Meter


def inspect_error(values: np.ndarray, ids: np.ndarray) -> float:
    """Return the clustered standard error as inspect_ai 0.3 defines it: outer products within each cluster."""
    mean, total = values.mean(), 0.0
    clusters = np.unique(ids)
    for each in clusters:
        deviations = values[ids == each] - mean
        total += np.outer(deviations, deviations).sum()
    return math.sqrt(total * len(clusters) / (len(clusters) - 1)) / len(values)


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 30, 400)
    return rng.normal(size=30)[ids] + rng.normal(size=400), ids


def test_the_error_is_the_clustered_one_of_inspect_ai() -> None:
    values, ids = data()
    means = ClusteredMean()
    means.update(values, ids)
    result = means.result()
    assert result.mean == pytest.approx(values.mean(), rel=1e-13)
    assert result.error == pytest.approx(inspect_error(values, ids), rel=1e-12)
    assert result.n == len(means) == 30
    assert result.error > 2 * values.std(ddof=1) / 20  # the plain error is far too small here


def test_a_ratio_of_sum_and_count_per_cluster_has_the_same_error() -> None:
    values, ids = data(1)
    means = ClusteredMean()
    means.update(np.round(values * 256) / 256, ids)  # dyadic: the sums of clusters are doubles, too
    sums, counts = zip(*means.sums().values(), strict=True)
    meter = Meter(pairs=[("sum", "count")])
    meter.update(sum=sums, count=counts)
    assert meter.ratio("sum", "count") == means.result()


def test_the_sum_of_a_cluster_is_exact_and_rounded_once() -> None:
    means = ClusteredMean()
    means.update([1e300, 1.0, -1e300, 0.1, 2**70, 1e308], [7, 7, 7, 7, 8, 9])
    means.update(torch.tensor([1e308, 1e308], dtype=torch.float64), torch.tensor([9, 9]))
    assert means.sums() == {7: (float(1 + Fraction(0.1)), 4), 8: (2.0**70, 1), 9: (math.inf, 3)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.bool_])
@pytest.mark.parametrize("size", [3, 15, 16, 500])
def test_a_cluster_of_any_size_has_the_exact_sum_of_its_values(size: int, dtype: type) -> None:
    rng = np.random.default_rng(size)
    values = (rng.normal(size=(size, 2)) * 10.0 ** rng.integers(-3, 4, (size, 2))).astype(dtype)
    means = ClusteredMean()
    means.update(values.ravel(), ["a", "b"] * size)
    exact = {name: float(sum(map(Fraction, values[:, i].tolist()))) for i, name in enumerate("ab")}
    assert means.sums() == {name: (total, size) for name, total in exact.items()}


@pytest.mark.parametrize("size", [3, 500])
def test_nans_and_infinities_are_counted_in_clusters_of_any_size(size: int) -> None:
    values = np.ones(size)
    values[:3] = math.nan, math.inf, 1.0
    means = ClusteredMean(nan_policy="omit")
    means.update(np.append(values, 0.0), ["a"] * size + ["b"])
    assert means.sums() == {"a": (math.inf, size - 1), "b": (0.0, 1)}
    assert (means.result().n_nan, means.result().n_inf, means.result().mean) == (1, 1, math.inf)


def test_any_order_batch_and_split_gives_the_same_result() -> None:
    values, ids = data(2)
    order = np.random.default_rng(3).permutation(400)
    whole, first, second = ClusteredMean(), ClusteredMean(), ClusteredMean()
    whole.update(values, ids)
    for i in order[:150]:
        first.update([values[i]], [int(ids[i])])
    second.update(values[order[150:]].tolist(), ids[order[150:]])
    first.merge(second)
    assert first.result() == whole.result()
    assert whole.all_reduce().result() == whole.result()
    assert repr(whole) == "<ClusteredMean of 30 clusters, nan_policy='propagate'>"


def test_by_hand_three_clusters() -> None:
    """Mean 1; deviations sum to -1, 0 and 1 in the clusters: sqrt((1 + 1) · 3/2) / 4."""
    means = ClusteredMean()
    means.update([0.0, 1.0, 1.0, 2.0], ["a", "b", "b", "c"])
    assert (means.result().mean, means.result().error) == (1.0, math.sqrt(3) / 4)


def test_one_cluster_or_none_has_no_error() -> None:
    means = ClusteredMean()
    assert math.isnan(means.result().mean)
    means.update([1.0, 3.0], ["a", "a"])
    assert means.result().mean == 2.0
    assert math.isnan(means.result().error)


def test_nan_and_infinity() -> None:
    values, ids = [1.0, math.nan, 3.0, math.nan, 5.0], ["a", "a", "b", "c", "d"]
    strict, lenient, refusing = ClusteredMean(), ClusteredMean("omit"), ClusteredMean("raise")
    strict.update(values, ids)
    lenient.update(values, ids)
    assert (math.isnan(strict.result().mean), strict.result().n_nan) == (True, 2)
    assert (lenient.result().mean, lenient.result().n, lenient.result().n_nan) == (3.0, 3, 2)
    with pytest.raises(ValueError, match=r"2 NaN.*raise.*nothing"):
        refusing.update(values, ids)
    assert len(refusing) == 0
    strict = ClusteredMean()
    strict.update([1.0, math.inf], [1, 2])
    assert (strict.result().mean, strict.result().n_inf) == (math.inf, 1)
    assert math.isnan(strict.result().error)


@pytest.mark.parametrize(
    ("values", "ids", "error", "match"),
    [
        ([1.0, 2.0], [1], ValueError, "2 values and 1 ids"),
        ([1.0], [1.5], TypeError, r"ids: got 1\.5 \(float\)"),
        ([1.0], [True], TypeError, "ids: got True"),
        (1.0, [1], TypeError, "values: got a float.*one-dimensional"),
        (np.ones((2, 2)), [1, 2, 3, 4], TypeError, "values: got a ndarray.*one-dimensional"),
        (["x"], [1], TypeError, r"values\[0\]: got a str"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(values, ids, error, match) -> None:
    means = ClusteredMean()
    means.update([1.0], ["kept"])
    with pytest.raises(error, match=match):
        means.update(values, ids)
    assert means.sums() == {"kept": (1.0, 1)}


def test_merging_what_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeError, match=r"merge: got a Meter"):
        ClusteredMean().merge(Meter())
    with pytest.raises(ValueError, match=r"merge: got nan_policy='omit'"):
        ClusteredMean().merge(ClusteredMean("omit"))
    with pytest.raises(ValueError, match=r"nan_policy: got 'ignore'"):
        ClusteredMean("ignore")
