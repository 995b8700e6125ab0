"""Which measures of a comparison get an answer, and that answer, interval and detectable difference agree."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import Invoke
from scipy import stats
from written_runs import measure, record, write_run

from results.comparison.comparison import Comparison, compare_groups
from results.database import ResultsDatabase
from results.selection import select_group

WORDS = ("compare", "model=mlp", "model=unet")
N = 5


def write_measures(experiments: Path, values: np.ndarray, measures: list[dict[str, Any]]) -> None:
    """Write runs whose results are values[model, measure, seed]."""
    for i, model in enumerate(("mlp", "unet")):
        for seed in range(values.shape[-1]):
            lines = [record(float(values[i, j, seed]), about) for j, about in enumerate(measures)]
            write_run(experiments, 100 * i + seed, lines, model=model, seed=seed)


def compared(experiments: Path, method: str = "auto", primary: tuple[str, ...] = ()) -> list[Comparison]:
    groups = [select_group(ResultsDatabase(experiments), spec) for spec in WORDS[1:]]
    return compare_groups(groups, method=method, primary=primary)[0]


@pytest.fixture
def with_parts(experiments: Path) -> np.ndarray:
    """A primary measure with two parts and a reference; only B's files name the role of the second part."""
    values = np.random.default_rng(1).normal(size=(2, 4, N))
    measures = [
        measure(),
        measure("loss/sigma_1", role="part"),
        measure("loss/sigma_2"),
        measure("floor", role="reference"),
    ]
    write_measures(experiments, values, measures)
    for seed in range(N):
        path = next(experiments.glob(f"*{seed + 100:06d}Z_*")) / "results.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[2]["metadata"]["role"] = "part"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return values


def test_parts_and_references_get_an_interval_of_their_own_but_no_answer(
    with_parts: np.ndarray, experiments: Path
) -> None:
    found = {one.label: one for one in compared(experiments)}
    assert {label: one.in_family for label, one in found.items()} == {
        "loss": True,
        "loss/sigma_1": False,
        "loss/sigma_2": False,
        "floor": False,
    }
    assert found["loss"].n_family == 1
    assert found["loss"].p_adjusted == pytest.approx(stats.ttest_rel(*with_parts[:, 0]).pvalue)
    for j, label in enumerate(found):
        interval = stats.ttest_rel(*with_parts[:, j]).confidence_interval(0.95)
        assert (found[label].test.ci_low, found[label].test.ci_high) == pytest.approx(tuple(interval))
    assert {one.answer for label, one in found.items() if label != "loss"} == {"not tested"}


@pytest.mark.usefixtures("with_parts")
def test_the_table_lists_parts_and_references_below_with_their_role(invoke: Invoke) -> None:
    code, out, _ = invoke(*WORDS)
    assert code == 0
    answered, others = out.split("Parts and references are not tested")
    assert "loss/sigma_1" not in answered
    for name, role in (("loss/sigma_1", "part"), ("loss/sigma_2", "part"), ("floor", "reference")):
        assert [line.split()[-1] for line in others.splitlines() if line.startswith(f"{name} ")] == [role]
    assert "jointly" not in out


def test_primary_measures_are_those_that_the_user_names(with_parts: np.ndarray, experiments: Path) -> None:
    found = {one.label: one for one in compared(experiments, primary=("loss/*", "floor"))}
    assert {label for label, one in found.items() if one.in_family} == {"loss/sigma_1", "loss/sigma_2", "floor"}
    for j, label in ((1, "loss/sigma_1"), (2, "loss/sigma_2"), (3, "floor")):
        p = stats.ttest_rel(*with_parts[:, j]).pvalue
        assert found[label].p_adjusted == pytest.approx(min(1.0, 3 * p))
    assert found["loss"].answer == "not tested"


@pytest.mark.usefixtures("with_parts")
def test_a_part_that_is_asked_for_with_metric_is_tested(invoke: Invoke) -> None:
    _, out, _ = invoke(*WORDS, "--metric", "loss/sigma_1", "--format", "json")
    (one,) = json.loads(out)["comparisons"]
    assert (one["role"], one["in_family"], one["n_family"]) == ("part", True, 1)


@pytest.mark.usefixtures("with_parts")
def test_a_primary_measure_that_is_not_there_is_refused_with_the_nearest(invoke: Invoke) -> None:
    code, out, err = invoke(*WORDS, "--primary", "flor")
    assert (code, out) == (2, "")
    assert "unknown measure 'flor'. Did you mean 'floor'?" in err


def test_a_primary_measure_that_may_not_be_compared_is_refused_with_the_reason(
    experiments: Path, invoke: Invoke
) -> None:
    for i, model in enumerate(("mlp", "unet")):
        for seed in range(2):
            lines = [record(0.1 * seed), record(0.2 * seed, measure("fid", n_samples=100 * (i + 1)))]
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed)
    code, out, err = invoke(*WORDS, "--primary", "fid")
    assert (code, out) == (2, "")
    assert "fid: not compared: n_samples 100 against 200" in err
    assert "unknown measure" not in err


@pytest.mark.parametrize("method", ["paired", "welch"])
def test_the_interval_excludes_0_exactly_if_there_is_a_winner(experiments: Path, method: str) -> None:
    m = 40
    values = np.random.default_rng(2).normal(size=(2, m, N))
    values[0] += np.linspace(-8, 8, m)[:, None]
    write_measures(experiments, values, [measure(f"m{j}") for j in range(m)])
    found = compared(experiments, method)
    assert len({one.answer for one in found}) == 3  # A, B and cannot tell: the test can fail either way
    for j, one in enumerate(found):
        a, b = values[:, j]
        wanted = stats.ttest_rel(a, b) if method == "paired" else stats.ttest_ind(a, b, equal_var=False)
        low, high = wanted.confidence_interval(1 - 0.05 / m)
        assert (one.test.ci_low, one.test.ci_high) == pytest.approx((low, high))
        winner = "A is better" if high < 0 else "B is better" if low > 0 else "cannot tell"  # lower is better
        assert one.answer == winner


def test_the_detectable_difference_has_80_percent_power_at_the_level_of_the_answer(experiments: Path) -> None:
    m = 10
    values = np.random.default_rng(3).normal(size=(2, m, N))
    write_measures(experiments, values, [measure(f"m{j}") for j in range(m)])
    for one in compared(experiments):
        line = stats.t.isf(0.05 / m / 2, N - 1)
        shift = one.detectable / one.test.error
        power = stats.nct.sf(line, N - 1, shift)  # the other tail is below 1e-6, where SciPy's cdf is NaN
        assert power == pytest.approx(0.8, abs=1e-5)


def test_primary_names_times_without_metric(experiments: Path, invoke: Invoke) -> None:
    values = np.random.default_rng(2).normal(size=(2, 2, N))
    write_measures(experiments, values, [measure(), measure("time/eval", unit="run")])
    _, out, _ = invoke(*WORDS, "--format", "json", "--primary", "time/*")
    found = {one["label"]: one["in_family"] for one in json.loads(out)["comparisons"]}
    assert found == {"time/eval": True, "loss": False}


def test_primary_says_which_group_lacks_the_measure(experiments: Path, invoke: Invoke) -> None:
    write_run(experiments, 0, [record(0.3), record(1.0, measure("time/eval", unit="run"))], model="mlp", seed=0)
    write_run(experiments, 1, [record(0.4)], model="unet", seed=0)
    code, _, err = invoke(*WORDS, "--primary", "time/*")
    assert code == 2
    assert "time/eval: only A has it." in err
