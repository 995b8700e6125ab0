"""all_reduce over real processes: uneven data, none, measures that some lack, and what is refused on every process."""

import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from meter_reference import ENGINES

from core.meter import reduce
from core.meter.measure import Measure
from core.utils.meters import Meter

N_PROCESSES = 3
MEMBER = Path(__file__).with_name("reduce_member.py")


def shards() -> list[np.ndarray]:
    """Return each process's values: one, hundreds of every size, none."""
    rng = np.random.default_rng(7)
    values = rng.standard_normal(999) * 10.0 ** rng.integers(-200, 200, 999)
    return [values[:1], values[1:], values[:0]]


@pytest.fixture(scope="module")
def all_answers(tmp_path_factory) -> list[dict]:
    """Run ``reduce_member.py`` in processes that share a gloo group; return what each answered, in either way."""
    path = tmp_path_factory.mktemp("reduce")
    np.savez(path / "shards.npz", *shards())
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(MEMBER), str(path), str(N_PROCESSES)], env=env, timeout=120, check=True)
    return [json.loads((path / f"{rank}.json").read_text()) for rank in range(N_PROCESSES)]


@pytest.fixture(params=["few", "many"])
def answers(request, all_answers) -> list[dict]:
    """What each process answered, where they exchange as few processes do and as many do."""
    return [each[request.param] for each in all_answers]


def test_processes_with_uneven_data_agree_with_one_that_saw_all(answers) -> None:
    """Engines are mixed, one process has no data, some lack measures, and there are infinities, NaNs and weights."""
    whole = Meter(nan_policy="omit")
    whole.update(loss=np.concatenate(shards()), rank=[0, 1, 2], rare=[math.inf, math.nan, -3.0])
    whole.update({"only/here": 2**70}, n=5)
    assert [answer["uneven"] for answer in answers] == [whole.state_dict()] * N_PROCESSES


def test_the_reduced_meter_is_another_of_the_same_engine(answers) -> None:
    assert [answer["unchanged"] for answer in answers] == [True] * N_PROCESSES
    assert [answer["same_engine"] for answer in answers] == [True] * N_PROCESSES


def test_declared_measures_are_reduced_without_an_exchange_of_names(answers) -> None:
    whole = Meter("a", "b")
    whole.update(a=[-5e-324, 1e308])
    for answer in answers:
        assert answer["declared"] == whole.state_dict()
        assert "names" not in answer["collectives_declared"]
        assert "'c'" in answer["still_declared"]


def test_few_processes_send_all_at_once_and_many_twice(all_answers) -> None:
    for answer in all_answers:
        assert answer["few"]["collectives_declared"] == ["gather"]
        assert answer["many"]["collectives_declared"] == ["MIN", "SUM"]


def test_names_are_exchanged_where_they_differ(all_answers) -> None:
    for answer in all_answers:
        assert answer["few"]["collectives"] == ["gather", "names", "MIN", "SUM"]
        assert answer["many"]["collectives"] == ["MIN", "names", "MIN", "SUM"]


def test_what_does_not_fit_into_the_first_exchange_is_sent_after_it(all_answers) -> None:
    expected = {
        "few": {"18": ["gather"], "19": ["gather", "SUM"], "33": ["gather", "MIN", "SUM"]},
        "many": {"18": ["MIN", "SUM"], "19": ["MIN", "SUM"], "33": ["MIN", "MIN", "SUM"]},
    }
    for answer in all_answers:
        for way, collectives in expected.items():
            assert answer[way]["collectives_of"] == collectives
            # The mean of 0, i and 2 i is i.
            assert answer[way]["means_of"] == {str(n): {f"m{i}": i for i in range(n)} for n in (18, 19, 33)}


def test_what_differs_between_processes_is_refused_on_each(answers) -> None:
    for answer in answers:
        assert "different nan_policy on different processes: 'omit' and 'raise'" in answer["policy"]
        assert (
            "different declared measures on different processes: ['a', 'b'] and ['a', 'c']" in answer["declared_names"]
        )
        assert "different nan_policy" in answer["declared_policy"]
        assert "['a', 'b', 'c'] and ['a', 'b'] and ['a']" in answer["declared_numbers"]
        assert (
            "different declared measures on different processes: ['a'] and []" in answer["declared_beside_undeclared"]
        )


def test_an_error_of_one_process_leaves_none_waiting(answers) -> None:
    assert [answer["fault"] for answer in answers] == [
        "all_reduce: another process of the group raised an error; nothing was reduced",
        "x: got 1 NaN",
        "all_reduce: another process of the group raised an error; nothing was reduced",
    ]


def test_pairs_of_all_processes_are_added(answers) -> None:
    whole = Meter(pairs=[("a", "b")], nan_policy="omit")
    a, b = [1.5, 1e300, math.nan, math.inf], [-1.0, 5e-324, 1.0, 4.0]
    whole.update(a=a + a[1:], b=[*b, *b[1:]], other=[1.0, 1.0])
    assert [answer["pairs"] for answer in answers] == [whole.state_dict()] * N_PROCESSES
    for answer in answers:
        assert "different pairs on different processes: [('a', 'b')] and [('a', 'c')]" in answer["other_pairs"]
        assert "different pairs on different processes: [('a', 'b')] and []" in answer["declared_pairs"]


def test_clusters_split_over_processes_are_added_exactly(answers) -> None:
    """0.1 + 0.7 by rationals; the sum of 1e300 and its opposite is 0."""
    expected = {"1": [float(Fraction(0.1) + Fraction(0.7)), 2], "2": [0.0, 2], "3": [2.0, 1]}
    assert [answer["clusters"] for answer in answers] == [expected] * N_PROCESSES


def test_a_group_is_reduced_apart_and_others_are_told(answers) -> None:
    assert answers[0]["group"] == answers[2]["group"] == 1.0
    assert "not in the group" in answers[1]["group"]


@ENGINES
def test_a_single_process_gets_a_copy(new) -> None:
    meter = new("x")
    meter.update(x=[1.0, 2.0])
    reduced = meter.all_reduce()
    reduced.update(x=4.0)
    assert (reduced.count("x"), meter.count("x"), reduced.engine) == (3, 2, meter.engine)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_digits_of_many_processes_at_the_limits_add_up(sign) -> None:
    """A thousand processes with the largest sums: as int64 the digits' sum is the sum's digits."""
    largest = int(1.7976931348623157e308)
    n = 2**116
    s1, s2 = (sign * n * largest) << 1074, (n * largest * largest) << 2148
    one = Measure(n, n, s1, s2, sign * 1.0, sign * 1.0, n, 0, 0)
    summed = reduce._digits([one], reduce._DIGITS) * np.int64(1000)
    whole = reduce._measure(reduce._fields(summed, reduce._DIGITS)[0], reduce._extremes(one))
    assert whole == Measure(1000 * n, 1000 * n, 1000 * s1, 1000 * s2, sign * 1.0, sign * 1.0, 1000 * n, 0, 0)
