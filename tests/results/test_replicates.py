"""Which results of a group count: current ones, one per known seed, of the newest run that has them."""

import json
from pathlib import Path

import pytest
from made_runs import Invoke
from written_runs import finished, measure, record, write_curve, write_run

from core.utils.results import ResultMetadata
from results.comparison.comparison import compare_groups
from results.database import ResultsDatabase
from results.groups import Group, group_runs
from results.selection import select_group

LOSS = ResultMetadata("loss", unit="image", higher_is_better=False)
AT_90 = {"step": 90, "weights": "ema", "sample_seed": 0}


def only_group(experiments: Path) -> Group:
    (group,) = group_runs(ResultsDatabase(experiments))
    return group


def test_a_newer_run_without_the_result_does_not_hide_the_older_one(experiments: Path) -> None:
    write_run(experiments, 0, [record(0.3)], seed=0)
    write_run(experiments, 1, [record(0.4)], seed=1)
    write_run(experiments, 2, [], seed=0)  # the same seed again, not evaluated yet
    group = only_group(experiments)
    assert group.values(LOSS) == {0: 0.3, 1: 0.4}
    assert group.over_runs(LOSS).summary.n == 2
    assert group.over_runs(LOSS).n_lacking == 0


def test_of_two_runs_of_one_seed_with_the_result_the_newer_counts(experiments: Path) -> None:
    for number, loss in enumerate((0.3, 0.5)):
        write_run(experiments, number, [record(loss)], seed=0)
    assert only_group(experiments).values(LOSS) == {0: 0.5}


def test_equal_numbers_are_one_config_and_one_seed(experiments: Path) -> None:
    values = [({"rate": 1, "sizes": [2, 3.0]}, 0), ({"rate": 1.0, "sizes": [2.0, 3]}, 1.0), ({"rate": True}, 1)]
    for number, (config, seed) in enumerate(values):
        write_run(experiments, number, [record(0.5)], seed=seed, **config)
    groups = group_runs(ResultsDatabase(experiments))
    assert [list(group.replicates) for group in groups] == [[0, 1], [1]]
    assert all(type(seed) is int for seed in groups[0].replicates)


@pytest.mark.parametrize("config", [{}, {"seed": None}])
def test_runs_of_unknown_seed_are_replicates_each(experiments: Path, config: dict[str, None]) -> None:
    for number in range(4):
        write_run(experiments, number, [record(0.25 * (number + 1))], **config)
    group = only_group(experiments)
    assert (len(group.replicates), group.n_repeated) == (4, 0)
    assert sorted(group.values(LOSS).values()) == [0.25, 0.5, 0.75, 1.0]


def test_runs_of_unknown_seed_are_never_paired(experiments: Path, invoke: Invoke) -> None:
    for model in ("a", "b"):
        for number in range(3):
            write_run(experiments, number + 10 * (model == "b"), [record(0.3 + 0.01 * number)], model=model)
    code, out, _ = invoke("compare", "model=a", "model=b")
    assert code == 0
    assert "A: model=a  (3 runs, seeds unknown)" in out
    assert "Welch over runs" in out
    code, out, _ = invoke("compare", "model=a", "model=b", "--format", "json")
    assert json.loads(out)["comparisons"][0]["a"]["seeds"] == [None, None, None]


def stale_and_current(experiments: Path) -> None:
    """Two runs of one config, evaluated at step 90; the first has since trained to step 1,200."""
    for number, step in enumerate((1_200, 90)):
        lines = [record(0.3 + 0.1 * number, evaluation="eval-0001", source=AT_90), finished("eval-0001")]
        write_run(experiments, number, lines, step=step, seed=number)


def test_a_result_of_an_earlier_step_is_stale_and_does_not_count(experiments: Path) -> None:
    stale_and_current(experiments)
    first, second = ResultsDatabase(experiments)
    assert list(first.stale) == [LOSS]
    assert (first.current_measures, list(first.measures)) == ({}, [LOSS])
    assert list(second.current_measures) == [LOSS]
    assert only_group(experiments).values(LOSS) == {1: 0.4}


def test_a_result_without_a_source_is_never_stale(experiments: Path) -> None:
    write_run(experiments, 0, [record(0.3), record(0.4, measure("other"), source={"weights": "ema"})], step=1_200)
    (run,) = ResultsDatabase(experiments)
    assert run.stale == {}


@pytest.mark.parametrize(("state", "step"), [("finished", None), ("interrupted", 90)])
def test_the_curve_says_how_far_a_run_got_where_its_status_does_not(
    experiments: Path, state: str, step: int | None
) -> None:
    path = write_run(experiments, 0, [record(0.3, source=AT_90)], step=step, state=state)
    write_curve(path, [30, 60, 90, 120])
    (run,) = ResultsDatabase(experiments)
    assert (run.last_step, list(run.stale)) == (120, [LOSS])


def test_evaluating_again_makes_the_result_current(experiments: Path) -> None:
    lines = [record(0.3, evaluation="eval-0001", source=AT_90), finished("eval-0001")]
    lines += [record(0.1, evaluation="eval-0002", source={"step": 1_200}), finished("eval-0002")]
    write_run(experiments, 0, lines, step=1_200, seed=0)
    assert only_group(experiments).values(LOSS) == {0: 0.1}


def test_the_list_marks_stale_results_and_names_the_command(experiments: Path, invoke: Invoke) -> None:
    stale_and_current(experiments)
    code, out, _ = invoke("runs")
    stale, current = (line for line in out.splitlines() if line.startswith("2026"))
    assert code == 0
    assert "0.300 ± 0.010 (stale)" in stale
    assert "stale" not in current
    assert "pyml-eval 20260101T000000000000Z_000000" in out


@pytest.mark.parametrize("command", [["runs"], ["runs", "show", "20260101T000000000000Z"], ["table"]])
def test_the_command_to_evaluate_again_names_a_directory_that_is_not_the_default(
    experiments: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    stale_and_current(experiments)
    shown = "Evaluate again: pyml-eval 20260101T000000000000Z_000000"
    _, out, err = invoke(*command)
    assert f"{shown} --experiments-dir {experiments}\n" in out + err
    monkeypatch.setenv("PYML_EXPERIMENTS_DIR", str(experiments))
    _, out, err = invoke(*command)
    assert f"{shown}\n" in out + err


def test_showing_a_run_marks_stale_results_and_names_the_command(experiments: Path, invoke: Invoke) -> None:
    stale_and_current(experiments)
    code, out, _ = invoke("runs", "show", "20260101T000000000000Z")
    assert code == 0
    assert "Stale: loss was measured at step 90; the run is at step 1,200." in out
    assert "pyml-eval 20260101T000000000000Z_000000" in out
    assert "Stale" not in invoke("runs", "show", "latest")[1]


def test_a_table_leaves_stale_results_out_and_says_so(experiments: Path, invoke: Invoke) -> None:
    stale_and_current(experiments)
    code, out, err = invoke("table")
    assert code == 0
    assert "0.400 ± unknown (n=1)" in out
    assert "1 run has stale results" in err
    assert "pyml-eval 20260101T000000000000Z_000000" in err


def test_a_comparison_leaves_stale_results_out_and_says_so(experiments: Path, invoke: Invoke) -> None:
    stale_and_current(experiments)
    for number in range(2):
        write_run(experiments, 5 + number, [record(0.5 + 0.01 * number)], model="unet", seed=number)
    code, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert code == 0
    assert "A: one run, so the error over runs is unknown" in out
    assert "loss: stale in 1 run of A" in out
    assert "pyml-eval 20260101T000000000000Z_000000" in out


def test_a_measure_that_is_stale_everywhere_is_refused_with_the_command(experiments: Path, invoke: Invoke) -> None:
    for number, model in enumerate(("mlp", "unet")):
        write_run(experiments, number, [record(0.3, source=AT_90)], model=model, step=1_200)
    code, out, err = invoke("compare", "model=mlp", "model=unet")
    assert (code, out) == (2, "")
    assert "loss: stale in 1 run of A" in err
    assert "pyml-eval 20260101T000000000000Z_000000" in err


def test_conditions_and_sorting_do_not_see_stale_results(experiments: Path) -> None:
    stale_and_current(experiments)
    database = ResultsDatabase(experiments)
    assert [run.config["seed"] for run in database.where("loss<1")] == [1]


def test_exports_mark_stale_results(experiments: Path, invoke: Invoke) -> None:
    stale_and_current(experiments)
    _, out, _ = invoke("runs", "export", "--format", "json")
    runs = json.loads(out)["runs"]
    assert [run["results"][0]["is_stale"] for run in runs] == [True, False]
    assert runs[0]["results"][0]["source"]["step"] == 90
    _, out, _ = invoke("runs", "export")
    assert out.splitlines()[0].endswith(
        '"source.step","source.digest","source.weights","source.sample_seed","is_stale"'
    )


def test_comparing_needs_a_current_result(experiments: Path) -> None:
    stale_and_current(experiments)
    write_run(experiments, 5, [record(0.5)], model="unet", seed=1)
    database = ResultsDatabase(experiments)
    (one,), _ = compare_groups([select_group(database, "model=mlp"), select_group(database, "model=unet")])
    assert one.over_a.summary.n == 1
