"""The best row: equal to SciPy's tests, rarely marked falsely, mostly marked where it leads clearly."""

import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.best_marking import best_row

N_EXPERIMENTS = 20_000  # a rate of 5% is then known to ± 0.15 points


def simulate(
    seed: int, means: list[float], sds: list[float], n: int, paired: bool = False, n_experiments: int = N_EXPERIMENTS
) -> np.ndarray:
    """Return the index of the marked row, -1 for none, of many experiments."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_experiments, n)) if paired else 0.0
    rows = [shared + rng.normal(mean, sd, size=(n_experiments, n)) for mean, sd in zip(means, sds, strict=True)]
    found = best_row(rows, higher_is_better=True, paired=paired)
    return np.where(found.is_marked, found.leader, -1)


@pytest.mark.parametrize("paired", [False, True])
def test_the_p_value_is_scipys_largest_over_the_other_rows(paired: bool) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(5, 6)) + np.array([[0.0], [2.0], [0.5], [0.1], [0.2]])
    tests = [
        stats.ttest_rel(rows[1], row) if paired else stats.ttest_ind(rows[1], row, equal_var=False)
        for i, row in enumerate(rows)
        if i != 1
    ]
    found = best_row(list(rows), higher_is_better=True, paired=paired)
    assert int(found.leader) == 1
    assert float(found.p_value) == pytest.approx(max(test.pvalue for test in tests), rel=1e-10)
    lowest = best_row(list(-rows), higher_is_better=False, paired=paired)
    assert float(lowest.p_value) == pytest.approx(float(found.p_value), rel=1e-12)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("k", [3, 5, 10, 20])
def test_of_rows_with_equal_means_at_most_5_percent_are_marked(k: int, n: int, paired: bool) -> None:
    for sds in ([1.0] * k, [10.0] + [1.0] * (k - 1), list(np.geomspace(1, 16, k))):
        assert np.mean(simulate(k * n, [0.0] * k, sds, n, paired, 3_000) >= 0) < 0.05


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("paired", [False, True])
def test_two_equal_best_rows_above_the_rest_are_the_worst_case_and_err_in_5_percent(n: int, paired: bool) -> None:
    wrong = np.mean(simulate(7, [50.0, 50.0, 0.0], [1.0] * 3, n, paired, 60_000) >= 0)
    assert wrong < 0.053  # 5% with a simulation error of 0.09 points
    if paired:
        assert wrong > 0.046  # the paired t test is exact; Welch's is conservative for few runs


def test_two_rows_are_tested_two_sided() -> None:
    assert np.mean(simulate(3, [0.0, 0.0], [1.0, 1.0], 10) >= 0) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("paired", [False, True])
def test_ten_rows_of_five_runs_with_a_gap_of_six_sd_are_marked_in_over_90_percent(paired: bool) -> None:
    marked = simulate(4, [6.0] + [0.0] * 9, [1.0] * 10, 5, paired=paired)
    assert np.mean(marked == 0) > 0.99
    assert np.mean(marked > 0) == 0


def test_rows_of_different_size_are_compared_with_welchs_test() -> None:
    a, b = [1.0, 2.0, 3.0, 2.0], [0.0, 0.5]
    found = best_row([b, a], higher_is_better=True)
    assert int(found.leader) == 1
    assert float(found.p_value) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, rel=1e-12)


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0], [2.0, 3.0]],
        [[1.0, 1.0], [2.0, 2.0]],
        [[2.0, 1.0], [1.0, 2.0]],
        [[math.nan, 1.0], [5.0, 5.1]],
        [[], [5.0, 5.1]],
    ],
    ids=["one run", "no spread", "equal means", "NaN", "no run"],
)
def test_what_cannot_be_told_is_not_marked(rows: list[list[float]]) -> None:
    assert not best_row(rows, higher_is_better=True).is_marked
    if len(rows[0]) == len(rows[1]):
        assert not best_row(rows, higher_is_better=True, paired=True).is_marked


def test_pairs_that_differ_by_the_same_amount_up_to_rounding_are_not_marked() -> None:
    a = [0.1 * i for i in range(1, 6)]
    b = [x + 0.05 for x in a]
    assert len({y - x for x, y in zip(a, b, strict=True)}) > 1  # rounding: each difference is 0.05 in decimals
    assert not best_row([a, b], higher_is_better=True, paired=True).is_marked


def test_runs_that_are_equal_up_to_rounding_are_not_marked() -> None:
    assert not best_row([[0.1 + 0.2, 0.3], [0.5, 0.5]], higher_is_better=True).is_marked


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("factor", [2.0**-1000, 2.0**450])
def test_tiny_and_huge_values_are_marked_as_others_are(factor: float, paired: bool) -> None:
    rows = np.array([[1.0, 1.1, 1.3, 1.2], [3.1, 3.3, 3.2, 3.2]])
    found, scaled = (best_row(list(one), higher_is_better=True, paired=paired) for one in (rows, rows * factor))
    assert bool(scaled.is_marked)
    assert float(scaled.p_value) == float(found.p_value)


def test_one_row_is_no_table() -> None:
    with pytest.raises(ValueError, match="needs two rows or more, got 1"):
        best_row([[1.0, 2.0]], higher_is_better=True)


def test_pairs_need_rows_of_one_size() -> None:
    with pytest.raises(ValueError, match=r"partner in every row, got shapes \[\(2,\), \(3,\)\]"):
        best_row([[1.0, 2.0], [1.0, 2.0, 3.0]], higher_is_better=True, paired=True)
