"""Claims about a line: SciPy's one-sided tests, and how often a false claim is called shown."""

import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.claim import mean_claim, sequential_claim, share_claim

VALUES = np.array([3.2751, 3.2779, 3.2760, 3.2802, 3.2744, 3.2768])


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("line", [3.28, 3.2767, 3.27])
def test_the_p_values_and_the_bound_are_scipys(line: float, below: bool) -> None:
    side, other = ("less", "greater") if below else ("greater", "less")
    expected = stats.ttest_1samp(VALUES, line, alternative=side)
    found = mean_claim(VALUES.mean(), VALUES.std(ddof=1) / math.sqrt(6), 5, line, below=below, level=0.9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.p_opposite == pytest.approx(stats.ttest_1samp(VALUES, line, alternative=other).pvalue, rel=1e-9)
    interval = expected.confidence_interval(0.9)
    assert found.bound == pytest.approx(interval.high if below else interval.low, rel=1e-12)


@pytest.mark.parametrize("error", [0.0, math.nan])
def test_without_a_known_error_nothing_is_shown(error: float) -> None:
    assert math.isnan(mean_claim(3.0, error, 4, 3.28, below=True).p_value)
    assert math.isnan(sequential_claim([3.0] * 5, 3.28, below=True).p_value)


def test_a_sequential_claim_is_rarely_shown_at_any_look_where_it_is_false() -> None:
    values = np.random.default_rng(1).normal(size=(400, 30))
    shown = [any(sequential_claim(row[:n], 0.0, below=True).p_value < 0.05 for n in range(2, 31)) for row in values]
    assert 0 < np.mean(shown) < 0.04  # about half of the two-sided test's rate


def test_a_sequential_claim_keeps_what_an_earlier_look_has_shown() -> None:
    values = [-1.0, -1.1, -0.9, -1.05, -0.95, 5.0]
    found = sequential_claim(values, 0.0, below=True)
    assert found.p_value < 0.05
    assert found.bound < 0
    assert sequential_claim(values, 0.0, below=False).p_opposite == found.p_value


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("line", [-0.5, 0.0, 0.3, 0.96, 1.0, 90.0])
@pytest.mark.parametrize("right", [0, 1, 24, 25])
def test_the_test_of_a_share_is_scipys_exact_one(right: int, line: float, below: bool) -> None:
    found = share_claim(right, 25, line, below=below, level=0.9)
    sides = ("less", "greater") if below else ("greater", "less")
    if 0 <= line <= 1:
        claimed, opposite = (stats.binomtest(right, 25, line, side).pvalue for side in sides)
        assert (found.p_value, found.p_opposite) == (
            pytest.approx(claimed, rel=1e-9),
            pytest.approx(opposite, rel=1e-9),
        )
    else:  # every share is above -0.5 and below 90
        assert (found.p_value, found.p_opposite) == ((0, 1) if (line > 1) is below else (1, 0))
    interval = stats.binomtest(right, 25, 0.5, sides[0]).proportion_ci(0.9, "exact")
    assert found.bound == pytest.approx(interval.high if below else interval.low, rel=1e-9)


@pytest.mark.parametrize("n", [5, 20, 50])
def test_a_false_claim_about_a_share_is_shown_in_at_most_5_percent_for_every_share(n: int) -> None:
    counts = np.arange(n + 1)
    for line in np.linspace(0.02, 0.98, 49):
        shown = [share_claim(int(right), n, line, below=False).p_value < 0.05 for right in counts]
        assert stats.binom.pmf(counts, n, line) @ shown <= 0.05
