"""The meter's read-outs and API, for every engine."""

import copy
import gc
import itertools
import json
import math
import pickle
import threading
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from meter_reference import ENGINES, check, exact_mean, exact_variance, is_root, same, to_double

from core.meter import python_engine
from core.utils.meters import Meter
from core.utils.results import ScalarResult


def num_acc(n: int) -> tuple[list[float], float, float, int]:
    """Return NIST StRD's NumAcc<n>: its values, certified mean and standard deviation, and the latter's digits."""
    if n == 1:
        return [10000001.0, 10000003.0, 10000002.0], 10000002.0, 1.0, 15
    first, low, high, mean, digits = {
        2: (1.2, 1.1, 1.3, 1.2, 15),
        3: (1000000.2, 1000000.1, 1000000.3, 1000000.2, 9),
        4: (10000000.2, 10000000.1, 10000000.3, 10000000.2, 8),
    }[n]
    return [first, *[low, high] * 500], mean, 0.1, digits


@ENGINES
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_nist_numerical_accuracy_data_give_the_certified_values(new, n) -> None:
    values, mean, std, digits = num_acc(n)
    meter = new()
    meter.update(x=values)
    check(meter, "x", values)
    assert f"{meter.mean('x'):.15g}" == f"{mean:.15g}"
    assert f"{meter.std('x'):.{digits}g}" == f"{std:.{digits}g}"
    one_by_one = new()
    for value in values:
        one_by_one.update(x=value)
    assert one_by_one.state_dict() == meter.state_dict()


@ENGINES
def test_batches_of_unequal_size_count_for_what_they_are(new) -> None:
    """Batches of 2, 2 and 1 samples, by hand: (2·2.6² + 2·1.4² + 2.4²) / 2 = 58/5 per sample, and a fifth of it."""
    meter = new()
    for loss, n in ((1.0, 2), (5.0, 2), (6.0, 1)):
        meter.update(loss=loss, n=n)
    assert (meter.count("loss"), meter.n_samples("loss")) == (3, 5)
    assert meter.mean("loss") == 3.6
    assert is_root(meter.std("loss"), Fraction(58, 5))
    assert is_root(meter.error("loss"), Fraction(58, 25))
    check(meter, "loss", [1.0, 5.0, 6.0], [2, 2, 1])


@ENGINES
def test_n_goes_for_every_measure_of_the_call(new) -> None:
    meter = new()
    meter.update(loss=0.5, accuracy=0.25, n=32)
    assert meter.n_samples("loss") == meter.n_samples("accuracy") == 32


@ENGINES
@pytest.mark.parametrize("ddof", [0, 1, 2])
def test_ddof_is_an_argument_of_the_read_out(new, ddof) -> None:
    values = [1.0, 2.0, 4.0, 8.5]
    meter = new()
    meter.update(x=values)
    assert meter.std("x", ddof=ddof) == pytest.approx(np.std(values, ddof=ddof), rel=1e-14)
    assert is_root(meter.error("x", ddof=ddof), exact_variance(values, ddof=ddof) / 4)


@ENGINES
@pytest.mark.parametrize(("ddof", "fault", "match"), [(1.0, TypeError, r"ddof.*float"), (-1, ValueError, r"ddof.*-1")])
def test_a_ddof_that_is_no_count_is_refused(new, ddof, fault, match) -> None:
    meter = new()
    meter.update(x=[1.0, 2.0])
    with pytest.raises(fault, match=match):
        meter.std("x", ddof=ddof)


@ENGINES
def test_no_data_is_nan_and_does_not_warn(new) -> None:
    check(new("x"), "x", [])
    meter = new()
    meter.update(x=[])
    check(meter, "x", [])


@ENGINES
def test_one_observation_has_no_error(new) -> None:
    meter = new()
    meter.update(x=0.1)
    check(meter, "x", [0.1])
    assert meter.result("x") == ScalarResult(0.1, math.nan, 1)
    assert same(meter.std("x", ddof=0), 0.0)


@ENGINES
def test_a_zero_reads_as_plus_zero(new) -> None:
    meter = new()
    meter.update(x=-0.0, y=np.array([-0.0]), z=[1.0, -1.0])
    assert [same(read("x"), 0.0) for read in (meter.mean, meter.min, meter.max)] == [True] * 3
    assert [same(read("y"), 0.0) for read in (meter.mean, meter.min, meter.max)] == [True] * 3
    assert same(meter.mean("z"), 0.0)


@ENGINES
def test_a_mean_that_underflows_reads_as_plus_zero(new) -> None:
    meter = new()
    meter.update(x=[-5e-324, 0.0, 0.0])
    assert same(meter.mean("x"), 0.0)
    assert meter.min("x") == -5e-324


@ENGINES
def test_a_read_out_beyond_the_double_range_is_infinite(new) -> None:
    meter = new()
    meter.update(x=1.7976931348623157e308)
    meter.update(x=-1.7976931348623157e308)
    assert meter.mean("x") == 0.0
    assert meter.std("x") == math.inf
    assert meter.error("x") == 1.7976931348623157e308
    meter.update(big=2**1024 - 1)
    assert meter.mean("big") == meter.max("big") == math.inf
    meter.update(big=-(2**1024 - 1), n=3)
    assert meter.mean("big") == to_double(exact_mean([2**1024 - 1, -(2**1024 - 1)], [1, 3]))


@ENGINES
def test_an_infinity_makes_the_mean_infinite_and_the_error_nan(new) -> None:
    meter = new()
    meter.update(up=[1.0, math.inf, 3.0], down=[-math.inf, 2.0], both=[math.inf, -math.inf])
    assert meter.mean("up") == math.inf
    assert meter.mean("down") == -math.inf
    assert math.isnan(meter.mean("both"))
    assert all(math.isnan(meter.error(name)) and math.isnan(meter.std(name)) for name in ("up", "down", "both"))
    assert (meter.min("up"), meter.max("up"), meter.count("up"), meter.n_samples("up")) == (1.0, math.inf, 3, 3)
    assert meter.result("up").n_inf == 1


@ENGINES
def test_nan_propagates_to_every_value_but_not_to_the_counts(new) -> None:
    meter = new()
    meter.update(x=[1.0, math.nan, 3.0])
    meter.update(x=math.nan, n=4)
    assert all(math.isnan(read("x")) for read in (meter.mean, meter.error, meter.std, meter.min, meter.max))
    assert (meter.count("x"), meter.n_samples("x"), meter.nan_count("x")) == (2, 2, 2)
    assert meter.result("x") == ScalarResult(math.nan, math.nan, 2, 2, 0)


@ENGINES
def test_omit_leaves_nan_out_and_still_counts_it(new) -> None:
    meter = new(nan_policy="omit")
    meter.update(x=[1.0, math.nan, 3.0])
    assert (meter.mean("x"), meter.min("x"), meter.max("x"), meter.nan_count("x")) == (2.0, 1.0, 3.0, 1)
    assert is_root(meter.error("x"), Fraction(1))
    assert "1 of 3 not finite" in str(meter.result("x"))


@ENGINES
@pytest.mark.parametrize("bad", [math.nan, [1.0, math.nan], np.array([math.nan] * 9000), np.float32("nan")])
def test_raise_refuses_a_nan_and_changes_nothing(new, bad) -> None:
    meter = new(nan_policy="raise")
    meter.update(loss=1.0, other=2.0)
    before = meter.state_dict()
    with pytest.raises(ValueError, match=r"loss.*NaN.*raise"):
        meter.update(other=5.0, loss=bad)
    with pytest.raises(ValueError, match=r"loss.*NaN.*raise"):
        meter.update(loss=bad)
    assert meter.state_dict() == before
    meter.update(loss=math.inf)
    assert meter.count("loss") == 2


@ENGINES
def test_results_hold_every_measure(new) -> None:
    meter = new("b", "a")
    meter.update(a=[1.0, 3.0])
    assert meter.results() == {"a": ScalarResult(2.0, 1.0, 2), "b": ScalarResult(math.nan, math.nan, 0)}
    assert str(meter.results()["a"]) in str(meter)
    assert repr(new("a")).startswith("<Meter 'a', nan_policy='propagate', engine=")


@ENGINES
def test_a_mapping_names_what_keywords_cannot(new) -> None:
    meter = new()
    meter.update({"val/loss": 1.0, "n": [2.0, 4.0], "self": 3.0}, loss=5.0)
    meter.update({"n": 6.0}, n=2)
    meter.update()
    assert {name: result.mean for name, result in meter.results().items()} == {
        "val/loss": 1.0,
        "n": 4.5,
        "self": 3.0,
        "loss": 5.0,
    }


@ENGINES
def test_the_keyword_n_never_means_a_measure_of_that_name(new) -> None:
    meter = new()
    meter.update({"n": 1.0})
    with pytest.raises(TypeError, match=r"n=2\.0.*positive integer"):
        meter.update(n=2.0)
    assert meter.count("n") == 1


@ENGINES
def test_names_that_are_equal_but_not_identical_are_one_measure(new) -> None:
    meter = new()
    for i in range(3):
        meter.update({"".join(["lo", "ss"]): float(i)})
        meter.update(loss=float(i))
    assert meter.count("loss") == 6
    assert meter.count("".join(["los", "s"])) == 6


@ENGINES
def test_many_measures_are_kept_apart(new) -> None:
    names = [f"measure_{i}" for i in range(100)]
    meter = new()
    for step in range(3):
        meter.update(**{name: float(i * step) for i, name in enumerate(names)})
        meter.update(**dict.fromkeys(reversed(names), 1.0))
    assert [meter.mean(name) for name in names] == [(3 * i + 3) / 6 for i in range(100)]


@ENGINES
def test_an_undeclared_measure_is_an_error_that_names_the_nearest(new) -> None:
    meter = new("loss", "accuracy")
    for call in (
        lambda: meter.update(accuracy=1.0, los=2.0),
        lambda: meter.update({"los": 2.0}),
        lambda: meter.update(accuracy=[1.0], los=[2.0]),
        lambda: meter.mean("los"),
    ):
        with pytest.raises(KeyError, match=r"'los'.*'loss'"):
            call()
    assert meter.state_dict() == new("loss", "accuracy").state_dict()


@ENGINES
def test_reading_a_measure_that_never_came_is_an_error(new) -> None:
    meter = new()
    for read in (meter.mean, meter.error, meter.std, meter.min, meter.max, meter.count, meter.result):
        with pytest.raises(KeyError, match=r"'loss'.*none yet"):
            read("loss")


def test_declaring_is_checked() -> None:
    with pytest.raises(TypeError, match=r"names.*\['a', 'b'\].*Meter\('a', 'b'\)"):
        Meter(["a", "b"])
    with pytest.raises(ValueError, match=r"twice.*'a', 'a'"):
        Meter("a", "a")
    with pytest.raises(ValueError, match=r"nan_policy.*'ignore'.*'omit'"):
        Meter(nan_policy="ignore")


@ENGINES
def test_reset_forgets_the_data_and_keeps_what_was_declared(new) -> None:
    meter, declared = new(), new("x")
    for each in (meter, declared):
        each.update(x=[1.0, math.nan, 3.0])
        each.update(x=1.0)
        each.reset()
    assert meter.state_dict() == new().state_dict()
    assert declared.state_dict() == new("x").state_dict()
    declared.update(x=2.0)
    assert declared.mean("x") == 2.0


@ENGINES
def test_copies_and_pickles_are_equal_and_independent(new) -> None:
    meter = new("x", "y", nan_policy="omit")
    meter.update(x=[0.1, 0.2, math.nan], y=2**70)
    before = meter.state_dict()
    for other in (copy.copy(meter), copy.deepcopy(meter), pickle.loads(pickle.dumps(meter))):
        assert (other.state_dict(), other.engine, other.nan_policy) == (before, meter.engine, "omit")
        other.update(x=1.0)
        with pytest.raises(KeyError, match="'z'"):
            other.update(z=1.0)
        assert meter.state_dict() == before


class Averages(Meter):
    """A subclass with another constructor, an attribute and its own update."""

    def __init__(self, label: str) -> None:
        super().__init__(engine="python")
        self.label = label

    def update(self, *args, **values):
        super().update(*args, **{name: 2 * value for name, value in values.items()})


def test_a_subclass_may_change_construction_and_update() -> None:
    meter = Averages("doubled")
    meter.update(x=1.5)
    other = pickle.loads(pickle.dumps(meter))
    assert (type(other), other.label, other.mean("x")) == (Averages, "doubled", 3.0)


@ENGINES
def test_merge_adds_exactly_and_leaves_the_other_as_it_was(new) -> None:
    a, b = new(), new()
    a.update(x=[1e300, 1.0], only_a=1.0)
    b.update(x=[-1e300, 5e-324], only_b=2.0)
    before = b.state_dict()
    a.merge(b)
    check(a, "x", [1e300, 1.0, -1e300, 5e-324])
    assert (a.count("only_a"), a.count("only_b"), b.state_dict()) == (1, 1, before)


@ENGINES
def test_a_meter_merges_with_itself(new) -> None:
    meter = new()
    meter.update(x=[1.0, 2.0], y=3.0)
    meter.merge(meter)
    check(meter, "x", [1.0, 2.0, 1.0, 2.0])
    assert meter.count("y") == 2


@ENGINES
def test_plus_gives_a_new_meter(new) -> None:
    a, b = new(), new()
    a.update(x=1.0)
    b.update(x=2.0, y=3.0)
    both = a + b
    assert both.state_dict() == (b + a).state_dict()
    assert (both.mean("x"), both.engine) == (1.5, a.engine)
    assert (a.count("x"), b.count("x")) == (1, 1)
    with pytest.raises(TypeError, match="unsupported operand"):
        a + 1.0


@ENGINES
def test_merging_what_does_not_fit_is_refused_and_changes_nothing(new) -> None:
    meter, other = new("x"), new()
    other.update(x=1.0, y=2.0)
    before = meter.state_dict()
    with pytest.raises(KeyError, match=r"'y'.*x"):
        meter.merge(other)
    with pytest.raises(ValueError, match=r"nan_policy='omit'.*'propagate'"):
        meter.merge(new("x", nan_policy="omit"))
    with pytest.raises(TypeError, match=r"merge.*dict.*Meter"):
        meter.merge({"x": 1.0})
    assert meter.state_dict() == before


@ENGINES
def test_counts_beyond_what_a_meter_holds_are_refused_before_anything_changes(new) -> None:
    meter = new()
    meter.update(x=1.5, y=1.0)
    for _ in range(125):
        meter.merge(meter)
    assert meter.count("x") == 2**125
    assert (meter.mean("x"), meter.max("x")) == (1.5, 1.5)
    before = meter.state_dict()
    with pytest.raises(OverflowError, match=r"[xy].*2\*\*126"):
        meter.merge(meter)
    assert meter.state_dict() == before


@ENGINES
def test_threads_lose_nothing(new) -> None:
    meter, n_threads, n_rounds = new(), 4, 300
    array = np.arange(200_000, dtype=np.float64)
    start = threading.Barrier(n_threads)

    def work(seed: int) -> None:
        start.wait()
        for i in range(n_rounds):
            meter.update(x=float(i), y=float(seed))
            meter.update({f"own_{seed}_{i % 7}": 1.0}, x=[1.0, 2.0])
            if i % 100 == 0:
                meter.update(x=array)
                meter.mean("x")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = n_threads * (n_rounds * (n_rounds - 1) // 2 + n_rounds * 3 + 3 * (199_999 * 100_000))
    assert meter.count("x") == n_threads * (3 * n_rounds + 3 * 200_000)
    assert meter.mean("x") == to_double(Fraction(total, meter.count("x")))
    assert sum(meter.count(name) for name in meter.results() if name.startswith("own")) == n_threads * n_rounds


@ENGINES
def test_memory_does_not_grow_with_the_number_of_updates(new) -> None:
    meter = new()
    values = np.arange(100.0)

    def use(n_rounds: int) -> int:
        for i in range(n_rounds):
            meter.update(x=i + 0.5)
            meter.update(x=i + 0.5, y=-1.5)
            if i % 4 == 0:
                meter.update(x=values, y=[1, 2**70])
                meter.update(x=float(i), n=3)
                meter.mean("x")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    gc.freeze()  # the collections below pass over what the other tests left
    tracemalloc.start()
    try:
        sizes = [use(500) for _ in range(4)]
        # One small object kept by every fourth round would be 3,500 bytes each time. Caches and other threads of the
        # test runner may allocate at one of the times, not at every one.
        assert min(later - earlier for earlier, later in itertools.pairwise(sizes)) < 3_000
    finally:
        tracemalloc.stop()
        gc.unfreeze()


class Overtaken:
    """A lock whose holder finds that another thread has just done what it came for."""

    def __init__(self, lock, settle):
        self.lock, self.settle = lock, settle

    def __enter__(self):
        self.lock.__enter__()
        settle, self.settle = self.settle, lambda: None
        settle()

    def __exit__(self, *exc):
        self.lock.__exit__(*exc)


def test_two_threads_that_read_at_once_do_not_count_twice() -> None:
    meter = Meter(engine="python")
    meter.update(x=1.0)
    engine = meter._engine
    engine._lock = Overtaken(engine._lock, engine._settle)
    assert meter.count("x") == 1


def test_what_another_thread_adds_while_floats_are_summed_is_kept(monkeypatch) -> None:
    meter = Meter(engine="python")
    sum_floats = python_engine._measure_floats

    def interrupted(values):
        monkeypatch.setattr(python_engine, "_measure_floats", sum_floats)
        meter.update(x=2.0)
        return sum_floats(values)

    meter.update(x=0.0)
    meter.update(x=1.0)
    monkeypatch.setattr(python_engine, "_measure_floats", interrupted)
    assert meter.count("x") == 2  # what came meanwhile waits for the next reading
    check(meter, "x", [0.0, 1.0, 2.0])


@ENGINES
def test_state_passes_through_json(new) -> None:
    meter = new(nan_policy="omit")
    meter.update(b=[0.1, -math.inf, math.nan], a=-7)
    state = json.loads(json.dumps(meter.state_dict(), allow_nan=False))
    assert list(state["measures"]) == ["a", "b"]
    other = new.load(state)
    assert other.state_dict() == state
    assert (other.nan_policy, other.mean("a"), other.mean("b")) == ("omit", -7.0, -math.inf)
