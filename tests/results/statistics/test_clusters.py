"""Clustered standard errors: equal to inspect_ai's on its own test data, and honest where plain ones are not."""

import math

import numpy as np
import pytest

from results.statistics.clusters import cluster_columns, clustered_mean
from results.statistics.intervals import t_quantile
from results.statistics.two_level import two_level_mean


def test_the_error_is_inspect_ais_on_its_own_test_data() -> None:
    # inspect_ai, tests/scorer/test_metric.py: values 0 to 19, cluster i mod 4, expected 0.645 in three decimals.
    # By hand: the clusters' sums of deviations are -7.5, -2.5, 2.5, 7.5; sqrt(125 × 4/3) / 20.
    found = clustered_mean(range(20), [i % 4 for i in range(20)])
    assert found.mean == 9.5
    assert round(found.error, 3) == 0.645
    assert found.error == pytest.approx(math.sqrt(125 * 4 / 3) / 20, rel=1e-14)
    assert (found.n_clusters, found.df) == (4, 3)


def test_the_error_is_that_of_statsmodels_with_clustered_covariance() -> None:
    # statsmodels 0.15.0: OLS(y, ones(8)).fit(cov_type="cluster", cov_kwds={"groups": ids, "df_correction": True}).bse,
    # which multiplies by C/(C-1) (n-1)/(n-1) = C/(C-1) for an intercept alone
    y = [0.2, 0.9, 0.4, 0.4, 1.0, 0.8, 0.1, 0.3]
    assert clustered_mean(y, [7, 7, 3, 3, 3, 9, 9, 5]).error == pytest.approx(0.05309435390572775, rel=1e-9)


def test_clusters_of_one_sample_give_the_plain_error() -> None:
    values = np.random.default_rng(1).normal(size=50)
    found = clustered_mean(values, np.arange(50))
    assert found.error == pytest.approx(found.plain_error, rel=1e-12)
    assert found.plain_error == pytest.approx(values.std(ddof=1) / math.sqrt(50), rel=1e-12)
    assert found.design_effect == pytest.approx(1.0)


def test_copies_of_a_sample_add_nothing() -> None:
    values = np.random.default_rng(2).normal(size=30)
    once = clustered_mean(values, np.arange(30))
    copied = clustered_mean(np.repeat(values, 10), np.repeat(np.arange(30), 10))
    assert copied.error == pytest.approx(once.error, rel=1e-12)
    assert copied.design_effect > 9


def test_one_cluster_has_an_unknown_error() -> None:
    found = clustered_mean([1.0, 0.0, 1.0], [4, 4, 4])
    assert found.mean == pytest.approx(2 / 3)
    assert math.isnan(found.error)
    assert math.isnan(found.design_effect)


def test_intervals_cover_the_truth_where_plain_ones_cover_far_less() -> None:
    rng = np.random.default_rng(3)
    ids = np.repeat(np.arange(30), 10)
    covered, plainly = [], []
    for _ in range(2_000):
        values = np.repeat(rng.normal(size=30), 10) + rng.normal(size=300)
        found = clustered_mean(values, ids)
        covered.append(abs(found.mean) < float(t_quantile(0.95, found.df)) * found.error)
        plainly.append(abs(found.mean) < 1.96 * found.plain_error)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
    assert np.mean(plainly) < 0.65


@pytest.mark.parametrize(("values", "ids"), [([1.0, 2.0], [1]), ([], []), ([[1.0]], [[1]])])
def test_values_without_a_cluster_each_are_refused(values: list[float], ids: list[int]) -> None:
    with pytest.raises(ValueError, match="every value needs a cluster id, got shapes"):
        clustered_mean(values, ids)


def test_the_error_over_cluster_columns_is_the_clustered_error() -> None:
    rng = np.random.default_rng(11)
    ids = rng.integers(0, 7, size=50)
    rows = rng.normal(size=(3, 50)) + rng.normal(size=7)[ids]
    columns = cluster_columns(rows, ids)
    assert columns.shape == (3, 7)
    np.testing.assert_allclose(columns.mean(axis=1), rows.mean(axis=1), rtol=1e-12)
    errors = columns.std(axis=1, ddof=1) / np.sqrt(7)
    np.testing.assert_allclose(errors, [clustered_mean(row, ids).error for row in rows], rtol=1e-12)


def test_two_levels_of_clustered_samples_cover_and_ignoring_clusters_does_not() -> None:
    rng = np.random.default_rng(12)
    ids = np.repeat(np.arange(20), 5)
    covered = []
    for _ in range(600):
        clusters, samples = rng.normal(size=20)[ids], rng.normal(size=100)
        values = rng.normal(0, 0.1, size=(5, 1)) + clusters + samples + rng.normal(0, 0.3, size=(5, 100))
        found = [two_level_mean(cluster_columns(values, ids)), two_level_mean(values)]
        covered.append([bool(one.ci_low <= 0 <= one.ci_high) for one in found])
    allowed, ignored = np.mean(covered, axis=0)
    assert allowed > 0.93  # 600 experiments: 95% ± 0.9%
    assert ignored < 0.85
