"""Skew and outliers: published examples, and how often the warning comes."""

import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.shape import ENOUGH, shape_of

N_EXPERIMENTS = 400


def share_noticed(values: np.ndarray) -> float:
    return float(np.mean([shape_of(row).p_value < 0.05 for row in values]))


def test_the_p_value_is_that_of_shapiro_and_wilks_own_example() -> None:
    # Shapiro and Wilk 1965, example 3: weights in pounds of 11 men, W = 0.79, rejected at 1%
    weights = [148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236]
    found = shape_of(weights)
    assert found.p_value == pytest.approx(stats.shapiro(weights).pvalue, rel=1e-6)
    assert found.p_value < 0.01
    assert found.skewness == pytest.approx(stats.skew(weights), rel=1e-12)
    assert found.outlier == 10


def test_grubbs_test_agrees_with_the_published_critical_values() -> None:
    # Grubbs and Beck 1972, two-sided 5%: n = 8 has 2.126; NIST's e-handbook, 1.3.5.17.1, finds G = 2.4687 here
    masses = [199.31, 199.53, 200.19, 200.82, 201.92, 201.95, 202.18, 245.57]
    found = shape_of(masses)
    distance = (245.57 - np.mean(masses)) / np.std(masses, ddof=1)
    assert distance == pytest.approx(2.4687, abs=1e-4)
    assert found.outlier == 7
    t = stats.t.ppf(1 - found.outlier_p_value / 16, 6)
    assert 7 / math.sqrt(8) * math.sqrt(t**2 / (6 + t**2)) == pytest.approx(distance, rel=1e-6)


def test_five_percent_of_normal_groups_are_noticed() -> None:
    values = np.random.default_rng(1).normal(size=(N_EXPERIMENTS, 10))
    assert share_noticed(values) == pytest.approx(0.05, abs=0.025)


@pytest.mark.parametrize(("n", "share"), [(5, 0.25), (10, 0.60), (15, 0.81), (20, 0.93)])
def test_the_share_of_lognormal_groups_noticed_is_the_documented_one(n: int, share: float) -> None:
    values = np.random.default_rng(n).lognormal(size=(N_EXPERIMENTS, n))
    assert share_noticed(values) == pytest.approx(share, abs=0.06)
    assert shape_of(values[0]).can_tell == (n >= ENOUGH)


def test_the_side_of_the_skew_is_named() -> None:
    high = np.exp(np.linspace(-2.0, 2.0, 20))
    assert shape_of(high).description() == "looks skewed to high values"
    assert shape_of(-high).description() == "looks skewed to low values"


def test_an_outlier_is_named_and_pointed_at() -> None:
    found = shape_of([0.31, 0.30, 0.32, 0.31, 0.95, 0.30])
    assert (found.outlier, found.description()) == (4, "has an outlier")


def test_normal_scores_are_not_suspect() -> None:
    scores = stats.norm.ppf((np.arange(1, 16) - 0.375) / 15.25)
    found = shape_of(scores)
    assert not found.is_suspect
    assert found.description() == ""
    assert found.skewness == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e300])
def test_the_scale_does_not_matter(scale: float) -> None:
    values = np.array([0.1, 0.2, 0.15, 0.9, 0.12])
    assert shape_of(scale * values).p_value == pytest.approx(shape_of(values).p_value, rel=1e-6)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [3.0, 3.0, 3.0], [1.0, 2.0, math.nan]])
def test_what_cannot_tell_is_unknown_and_not_suspect(values: list[float]) -> None:
    found = shape_of(values)
    assert math.isnan(found.p_value)
    assert math.isnan(found.skewness)
    assert not found.is_suspect
    assert found.description() == ""
