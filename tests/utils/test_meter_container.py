"""A meter as a container of named measures: names, sums, equality and merging of many."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.meter import engines
from core.utils.meters import Meter

ENGINES = pytest.mark.parametrize("engine", engines.available())
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def rounded(x: Fraction) -> float:
    try:
        return float(x) + 0.0
    except OverflowError:
        return math.inf if x > 0 else -math.inf


@ENGINES
def test_a_meter_is_a_container_of_names(engine) -> None:
    meter = Meter(engine=engine)
    assert (list(meter), len(meter), "b" in meter) == ([], 0, False)
    meter.update(b=1.0, a=[2.0, 4.0])
    assert meter.names() == list(meter) == ["b", "a"]
    assert (len(meter), "a" in meter, "c" in meter, 3 in meter) == (2, True, False, False)
    assert meter.means() == {"b": 1.0, "a": 3.0}
    assert Meter("y", "x", engine=engine).names() == ["x", "y"]


@ENGINES
@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(FINITE, st.integers(1, 2**53)), min_size=1, max_size=20))
def test_sum_and_variance_are_exact_and_rounded_once(engine, rows) -> None:
    meter = Meter(engine=engine)
    for x, n in rows:
        meter.update(x=x, n=n)
    total, n_samples = sum(w * Fraction(x) for x, w in rows), sum(w for _, w in rows)
    assert meter.sum("x") == rounded(total)
    if len(rows) < 2:
        assert math.isnan(meter.variance("x"))
    else:
        deviations = sum(w * (Fraction(x) - total / n_samples) ** 2 for x, w in rows)
        assert meter.variance("x") == rounded(deviations / (len(rows) - 1))
        assert meter.variance("x", ddof=0) == rounded(deviations / len(rows))


@ENGINES
def test_sums_without_data_and_with_values_that_are_not_finite(engine) -> None:
    meter = Meter("x", engine=engine)
    assert meter.sum("x") == 0.0
    meter.update(x=math.nan)
    assert math.isnan(meter.sum("x"))
    lenient = Meter(nan_policy="omit", engine=engine)
    lenient.update(x=[math.nan], y=[1.5, math.nan, 2.0], z=[math.inf, 1.0], w=[math.inf, -math.inf])
    assert (lenient.sum("x"), lenient.sum("y"), lenient.sum("z")) == (0.0, 3.5, math.inf)
    assert math.isnan(lenient.sum("w"))
    assert math.isnan(lenient.variance("z"))


def test_meters_with_the_same_state_are_equal_whatever_the_engine_and_order() -> None:
    meters = [Meter(engine=engine) for engine in engines.available()]
    for meter in meters:
        meter.update(a=[1.0, 2.0])
        meter.update(b=3.0)
    other = Meter()
    other.update(b=3.0, a=2.0)
    assert other != meters[0]
    other.update(a=1.0)
    assert all(meter == other for meter in meters)
    assert meters[0] != Meter(nan_policy="omit")
    assert meters[0] != {"a": 1.5}
    with pytest.raises(TypeError, match="unhashable"):
        hash(other)


@ENGINES
def test_many_meters_merge_by_sum_and_merge_all(engine) -> None:
    meters = [Meter(engine=engine, pairs=[("x", "y")]) for _ in range(5)]
    for i, meter in enumerate(meters):
        meter.update(x=[float(i), 2.0 * i], y=[1.0, 3.0])
    before = [meter.state_dict() for meter in meters]
    total = sum(meters)
    assert isinstance(total, Meter)
    assert total == Meter.merge_all(reversed(meters)) == meters[0] + meters[1] + sum(meters[2:])
    assert (total.count("x"), total.sum("x"), total.ratio("x", "y").mean) == (10, 30.0, 1.5)
    assert [meter.state_dict() for meter in meters] == before
    assert Meter.merge_all(meters[:1]) == meters[0]


def test_merge_all_keeps_declarations_that_all_have() -> None:
    both = Meter.merge_all([Meter("a"), Meter("b")])
    with pytest.raises(KeyError, match="'c'"):
        both.update(c=1.0)
    Meter.merge_all([Meter("a"), Meter()]).update(c=1.0)


def test_what_cannot_be_merged_is_refused() -> None:
    with pytest.raises(ValueError, match="merge_all: got no meter"):
        Meter.merge_all([])
    with pytest.raises(TypeError, match="merge_all: got a dict"):
        Meter.merge_all([Meter(), {}])
    with pytest.raises(ValueError, match="nan_policy"):
        Meter.merge_all([Meter(), Meter(nan_policy="omit")])
    with pytest.raises(TypeError, match="unsupported operand"):
        1 + Meter()


def test_a_notebook_shows_a_table_with_escaped_names() -> None:
    meter = Meter()
    meter.update({"a<b": [1.0, 3.0]})
    html = meter._repr_html_()
    assert "<td>a&lt;b</td><td>2.0 ± 1.0</td><td>2</td>" in html
    assert html.count("<tr>") == 2


@ENGINES
def test_weights_beside_an_array_are_refused_and_create_no_measure(engine) -> None:
    meter = Meter(engine=engine)
    values, w = np.array([1.0, 2.0]), np.array([3.0, 1.0])
    with pytest.raises(ValueError, match=r"weights: got it beside the array loss.*pairs=.*nothing was added"):
        meter.update(loss=values, weights=w)
    assert len(meter) == 0
    meter.update({"weights": 0.5, "loss": 1.0})  # a mapping means a measure of that name
    before = meter.state_dict()
    with pytest.raises(ValueError, match="weights: got it beside the array loss"):
        meter.update(loss=values, weights=w)
    assert meter.state_dict() == before


@ENGINES
def test_a_weighted_mean_is_a_ratio(engine) -> None:
    values, w = np.array([1.0, 2.0]), np.array([3.0, 1.0])
    meter = Meter(pairs=[("weighted", "weight")], engine=engine)
    meter.update(weighted=values * w, weight=w)
    assert meter.ratio("weighted", "weight").mean == np.average(values, weights=w)
