"""The meter's state: what it looks like, that it is read back, and that a corrupted one is refused with the reason."""

import copy
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from meter_reference import ENGINES, KINDS, Kind, check

from core.meter import engines
from core.utils.meters import Meter

DATA = Path(__file__).parents[1] / "data"


def by_hand() -> dict:
    """The state after 1.5 (n = 2), -0.25 and a NaN: s1 = 2.75·2^1074, s2 = 4.5625·2^2148."""
    return {
        "format": "pyml.meter/1",
        "nan_policy": "omit",
        "measures": {
            "loss": {
                "k": "0x2",
                "n": "0x3",
                "s1": hex(11 << 1072),
                "s2": hex(73 << 2144),
                "min": "-0x1.0000000000000p-2",
                "max": "0x1.8000000000000p+0",
                "nan": "0x1",
                "posinf": "0x0",
                "neginf": "0x0",
            },
            "nothing": dict.fromkeys(("k", "n", "s1", "s2", "nan", "posinf", "neginf"), "0x0")
            | {"min": None, "max": None},
        },
    }


def by_updates(new: Kind) -> Meter:
    meter = new("nothing", "loss", nan_policy="omit")
    meter.update(loss=1.5, n=2)
    meter.update(loss=[-0.25, math.nan])
    return meter


@ENGINES
def test_the_state_is_what_the_format_says(new) -> None:
    assert by_updates(new).state_dict() == by_hand() | {"declared": True}


@ENGINES
def test_a_state_is_read_back(new) -> None:
    meter = new.load(by_hand())
    assert meter.state_dict() == by_hand()
    meter.update(loss=4.0, other=1.0)
    check_values = [1.5, -0.25, 4.0]
    assert meter.mean("loss") == 6.75 / 4
    assert (meter.count("loss"), meter.n_samples("loss")) == (len(check_values), 4)


@ENGINES
def test_a_state_written_by_the_first_release_still_loads(new) -> None:
    state = json.loads((DATA / "meter_state_1.json").read_text())
    meter = new.load(state)
    assert meter.state_dict() == state
    values = [0.1, 0.2, 1e300, -5e-324]
    check(meter, "plain", values)
    assert (meter.nan_count("odd"), meter.mean("odd"), meter.min("odd")) == (1, math.inf, 2.0)


@ENGINES
def test_a_state_with_pairs_written_by_the_second_format_still_loads(new) -> None:
    state = json.loads((DATA / "meter_state_2.json").read_text())
    meter = new.load(state)
    assert meter.state_dict() == state
    assert (meter.nan_count("loss"), meter.count("loss")) == (1, 3)
    assert meter.ratio("nats", "bytes").mean == (310.5 + 1290.25 + 87.0) / (402 + 1630 + 120)


@ENGINES
def test_a_declared_measure_is_in_the_state_as_nothing(new) -> None:
    assert new("nothing").state_dict()["measures"] == {"nothing": by_hand()["measures"]["nothing"]}


@ENGINES
@pytest.mark.parametrize(
    "values",
    [
        [2**53 + 1],
        [-(2**60) - 1, -(2**60) - 1],
        [2**1024 - 1],
        [1 - 2**1024, 2**1024 - 2**970],
        [2**1024 - 2**970 - 1],
        [math.inf, 2**1024 - 1],
        [math.inf, -math.inf, 1.0],
        [math.inf, -5e-324],
        [5e-324],
        [1.7976931348623157e308, -1.7976931348623157e308],
        [0.0, math.nan],
    ],
)
def test_a_state_at_the_edge_of_what_can_be_is_read_back(new, values) -> None:
    for n in (1, 3, 2**53):
        meter = new()
        for value in values:
            meter.update(x=value, n=n)
        assert new.load(meter.state_dict()).state_dict() == meter.state_dict()


@ENGINES
def test_declared_measures_are_still_the_only_ones_after_loading(new) -> None:
    meter = by_updates(new)
    for again in (new.load(meter.state_dict()), pickle.loads(pickle.dumps(meter)), copy.copy(meter)):
        with pytest.raises(KeyError, match=r"unknown measure 'other'.*loss, nothing"):
            again.update(other=1.0)
        assert again.state_dict() == meter.state_dict()
    paired = new("a", "b", pairs=[("a", "b")])
    with pytest.raises(KeyError, match=r"unknown measure 'c'"):
        new.load(paired.state_dict()).update(c=1.0)


@pytest.mark.parametrize("source", KINDS, ids=str)
@pytest.mark.parametrize("target", KINDS, ids=str)
def test_each_engine_reads_and_merges_what_the_other_holds(source, target) -> None:
    values = [0.1, -1e308, 5e-324, 2**70, math.inf, math.nan]
    meter = source(nan_policy="omit")
    meter.update(x=values, y=np.arange(100))
    state = meter.state_dict()
    assert target.load(state).state_dict() == state
    other = target(nan_policy="omit")
    other.update(x=values, z=1.0)
    both = other + meter
    assert both.engine == target.engine
    assert both.count("x") == 10
    assert both.state_dict() == (meter + other).state_dict()


@ENGINES
def test_a_state_near_the_limits_is_held_exactly(new) -> None:
    """2^60 updates of the largest double with n = 2^53: no digit may overflow, and negatives borrow all the way."""
    largest, n = 1.7976931348623157e308, 2**113
    for sign in (1, -1):
        meter = new()
        meter.update(x=sign * largest, n=2**53)
        for _ in range(60):
            meter.merge(meter)
        assert (meter.n_samples("x"), meter.count("x")) == (n, 2**60)
        meter.update(x=sign * largest)
        state = meter.state_dict()
        fields = state["measures"]["x"]
        assert int(fields["s1"], 16) == sign * (n + 1) * (int(largest) << 1074)
        assert int(fields["s2"], 16) == (n + 1) * (int(largest) ** 2 << 2148)
        again = new.load(state)
        assert again.state_dict() == state
        again.merge(meter)
        assert again.mean("x") == meter.mean("x") == sign * largest
        opposite = new()
        opposite.update(x=-sign * largest, n=2**53)
        for _ in range(60):
            opposite.merge(opposite)
        opposite.update(x=-sign * largest)
        opposite.update(x=5e-324)
        meter.merge(opposite)
        assert int(meter.state_dict()["measures"]["x"]["s1"], 16) == 1


def corrupted(**fields) -> dict:
    state = by_hand()
    state["measures"]["loss"].update(fields)
    return state


CORRUPTED = {
    "no mapping": ([], "state.*list.*state_dict"),
    "another format": (by_hand() | {"format": "pyml.meter/9"}, r"format 'pyml.meter/9'.*'pyml.meter/1'"),
    "no format": ({"measures": {}}, "format None"),
    "policy": (by_hand() | {"nan_policy": "ignore"}, "nan_policy 'ignore'.*'omit'"),
    "unhashable policy": (by_hand() | {"nan_policy": []}, r"nan_policy \[\]"),
    "no measures": (by_hand() | {"measures": None}, "measures of type NoneType"),
    "name": (by_hand() | {"measures": {3: {}}}, "name 3"),
    "missing field": (by_hand() | {"measures": {"loss": {"k": "0x0"}}}, r"'loss'.*\['k'\].*exactly k, n, s1"),
    "more fields": (corrupted(extra="0x0"), "'loss'.*extra"),
    "an int": (corrupted(k=2), "'loss'.*k 2.*hex string"),
    "a float": (corrupted(s1=1.0), "'loss'.*s1 1.0"),
    "upper case": (corrupted(k="0X2"), "k '0X2'"),
    "leading zero": (corrupted(k="0x02"), "k '0x02'"),
    "no number": (corrupted(s1="0xzz"), "s1 '0xzz'"),
    "underscores": (corrupted(s1="0x1_0"), "s1 '0x1_0'"),
    "float text": (corrupted(min="abc"), r"min 'abc'.*float.hex"),
    "decimal text": (corrupted(min="1.5"), r"min '1.5'.*float.hex"),
    "nan as min": (corrupted(min="nan"), "min 'nan'"),
    "huge float": (corrupted(max="0x1p+99999"), "max '0x1p"),
    "null count": (corrupted(k=None), "k None"),
    "negative count": (corrupted(nan="-0x1"), "count is negative"),
    "huge count": (corrupted(n=hex(2**127)), "beyond"),
    "fewer samples": (corrupted(n="0x1"), "fewer samples than observations"),
    "samples of nothing": (corrupted(k="0x0"), "samples without"),
    "infinities": (corrupted(posinf="0x3"), "more infinities"),
    "no min": (corrupted(min=None), "min and max do not fit"),
    "min of nothing": (corrupted(k="0x0", n="0x0", s1="0x0", s2="0x0"), "min and max do not fit"),
    "sums of nothing": (corrupted(k="0x0", n="0x0", min=None, max=None), "sums without"),
    "min above max": (corrupted(min="0x1.0000000000000p+9"), "min is above max"),
    "negative zero": (corrupted(min="-0x0.0p+0"), r"-0\.0"),
    "hidden +inf": (corrupted(posinf="0x1"), r"\+inf"),
    "hidden -inf": (corrupted(neginf="0x1"), r"-inf"),
    "negative s2": (corrupted(s2="-0x1"), "s2 is negative"),
    "s2 too small": (corrupted(s2="0x1"), "s2 is smaller"),
    "s1 too large": (corrupted(s1=hex(2**2102), s2=hex(2**4300)), "s1 is larger"),
    "s2 too large": (corrupted(s2=hex(2**4300)), "s2 is larger"),
    "sums of infinities": (
        corrupted(posinf="0x1", neginf="0x1", min="-inf", max="inf"),
        "sums without finite observations",
    ),
    # The hand-made state has 1.5 twice and -0.25 once, so that s1 may lie in 1.0 ... 2.75, in units of 2**-1074.
    "mean below min": (corrupted(s1=hex(1 << 1073), s2=hex(1 << 2150)), "mean is below min"),
    "mean above max": (corrupted(s1=hex((11 << 1072) + 1)), "mean is above max"),
    "negative mean": (corrupted(s1=hex(-(1 << 1074))), "mean is below min"),
    "spread": (corrupted(s2=hex((73 << 2144) + 1)), "s2 is larger than min and max allow"),
    "one of two values": (corrupted(k="0x1"), "one observation has two values"),
    "max is inf": (corrupted(max="inf"), r"max is \+inf, yet no \+inf was counted"),
    "min is -inf": (corrupted(min="-inf"), "min is -inf, yet no -inf was counted"),
    "one infinity of two observations": (
        corrupted(posinf="0x1", max="inf", s1=hex(-(1 << 1074))),
        "mean is below min",
    ),
    "declared": (by_hand() | {"declared": 1}, "declared 1; accepted: true"),
    "declared without measures": (by_hand() | {"declared": True, "measures": {}}, "not every declared measure"),
    "nan under raise": (by_hand() | {"nan_policy": "raise"}, "'raise'.*NaN"),
}


@ENGINES
@pytest.mark.parametrize("kind", CORRUPTED)
def test_a_corrupted_state_is_refused_with_the_reason(new, kind) -> None:
    state, match = CORRUPTED[kind]
    with pytest.raises(ValueError, match=match):
        new.load(copy.deepcopy(state))


def test_a_pickle_of_an_engine_that_is_missing_loads_into_the_other(monkeypatch) -> None:
    meter = by_updates(KINDS[-1])
    data = pickle.dumps(meter)
    monkeypatch.setattr(engines, "_missing", ImportError("not built"))
    other = pickle.loads(data)
    assert (other.engine, other.state_dict()) == ("python", by_hand() | {"declared": True})


@pytest.mark.parametrize("field", ["k", "n", "s1", "s2", "nan", "posinf", "neginf"])
def test_digits_beyond_every_sum_are_refused_before_any_arithmetic(field: str) -> None:
    state = json.loads((DATA / "meter_state_1.json").read_text())
    fields = next(iter(state["measures"].values()))
    fields[field] = "0x1" + "0" * 16_000_000  # 49 s of arithmetic
    with pytest.raises(ValueError, match=rf"got {field} of 16,000,003 characters; accepted: at most 1,084"):
        Meter.from_state_dict(state)


def test_the_largest_sums_have_fewer_digits_than_the_bound() -> None:
    meter = Meter()
    for n in (2**53, 2**53):
        meter.update(x=-1.7976931348623157e308, n=n)
    for _ in range(60):
        meter.merge(meter + Meter())
    assert Meter.from_state_dict(meter.state_dict()) == meter
