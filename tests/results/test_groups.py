"""Runs that differ only in seed are replicates, and nothing else is."""

import math
import statistics
from pathlib import Path

import pytest
from made_runs import ACCURACY, LOSS, MakeRun, set_status

from core.utils.results import ScalarResult
from results.database import ResultsDatabase
from results.groups import group_runs
from results.statistics.intervals import summarise


def test_runs_that_differ_only_in_seed_are_one_group(make_run: MakeRun, experiments: Path) -> None:
    for rate in (0.5, 0.25):
        for seed in range(3):
            make_run({LOSS: seed + rate}, seed=seed, learning_rate=rate)
    make_run({LOSS: 9.0}, seed=0, learning_rate=0.5, split_seed=1)
    groups = group_runs(ResultsDatabase(experiments))
    assert [(group.label, list(group.replicates)) for group in groups] == [
        ("split_seed=0, learning_rate=0.5", [0, 1, 2]),
        ("split_seed=0, learning_rate=0.25", [0, 1, 2]),
        ("split_seed=1, learning_rate=0.5", [0]),
    ]
    assert "seed" not in groups[0].config
    assert groups[0].values(LOSS) == {0: 0.5, 1: 1.5, 2: 2.5}


def test_another_version_of_the_model_is_another_group(make_run: MakeRun, experiments: Path) -> None:
    for version in ("0.1.0", "0.2.0"):
        make_run(plugins={"model": {"name": "mlp", "distribution": "pyml-core", "version": version}})
    labels = [group.label for group in group_runs(ResultsDatabase(experiments))]
    assert labels == ["model version=pyml-core 0.1.0", "model version=pyml-core 0.2.0"]


def test_the_error_over_runs_rests_on_runs_and_never_on_their_samples(make_run: MakeRun, experiments: Path) -> None:
    means = [0.30, 0.34, 0.32, 0.31, 0.33]
    for seed, mean in enumerate(means):
        make_run({LOSS: ScalarResult(mean, 0.001 * (seed + 1), n=100)}, seed=seed)
    (group,) = group_runs(ResultsDatabase(experiments))
    over = group.over_runs(LOSS)
    assert over.summary.n == 5
    assert over.summary.mean == pytest.approx(0.32)
    assert over.summary.error == pytest.approx(statistics.stdev(means) / math.sqrt(5))
    assert over.summary.half_width == pytest.approx(2.776445 * over.summary.error)  # t(0.975, 4) from the tables
    assert over.within_error == pytest.approx(0.001 * math.sqrt((1 + 4 + 9 + 16 + 25) / 5))


def test_one_seed_has_an_unknown_error(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.3})
    (group,) = group_runs(ResultsDatabase(experiments))
    over = group.over_runs(LOSS)
    assert (over.summary.n, over.summary.mean, over.within_error) == (1, 0.3, 0.01)
    assert math.isnan(over.summary.error)
    assert math.isnan(over.summary.half_width)


def test_a_run_with_a_nan_result_is_not_dropped_in_silence(make_run: MakeRun, experiments: Path) -> None:
    for seed, mean in enumerate([0.3, math.nan, 0.4]):
        make_run({LOSS: ScalarResult(mean, math.nan)}, seed=seed)
    make_run({ACCURACY: 0.5}, seed=3)
    (group,) = group_runs(ResultsDatabase(experiments))
    over = group.over_runs(LOSS)
    assert (over.summary.n, over.n_not_finite, over.n_lacking) == (3, 1, 1)
    assert math.isnan(over.summary.mean)
    assert math.isnan(over.within_error)


def test_an_infinite_result_makes_the_mean_infinite() -> None:
    assert summarise([1.0, math.inf]).mean == math.inf
    assert math.isnan(summarise([1.0, math.inf]).ci_low)


def test_only_finished_runs_are_replicates_and_the_others_are_counted(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.3}, seed=0)
    make_run({LOSS: 0.4}, seed=1, state="failed")
    make_run({LOSS: 0.5}, seed=2, state="interrupted")
    make_run({LOSS: 0.6}, seed=3, state="failed")
    (group,) = group_runs(ResultsDatabase(experiments))
    assert group.values(LOSS) == {0: 0.3}
    assert group.left_out == {"failed": 2, "interrupted": 1}
    assert len(group.runs) == 4


def test_a_seed_that_was_run_twice_counts_once(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.3}, seed=0)
    make_run({LOSS: 0.35}, seed=1)
    make_run({LOSS: 0.4}, seed=0)
    (group,) = group_runs(ResultsDatabase(experiments))
    assert group.values(LOSS) == {0: 0.4, 1: 0.35}
    assert group.n_repeated == 1


def test_runs_without_a_config_are_in_no_group(make_run: MakeRun, experiments: Path) -> None:
    (make_run({LOSS: 0.3}) / "config.json").unlink()
    assert group_runs(ResultsDatabase(experiments)) == []


def test_runs_that_failed_before_their_first_step_form_no_group(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.3}, seed=0)
    set_status(make_run(seed=1, state="failed"), step=None)
    set_status(make_run(seed=0, learning_rate=0.5, state="failed", reason="a mistyped option"), step=None)
    (group,) = group_runs(ResultsDatabase(experiments))
    assert group.left_out == {"failed": 1}  # it shares its config with a finished run
    make_run(learning_rate=0.7, state="failed", reason="the loss is not finite at step 30")
    set_status(make_run({LOSS: 0.4}, learning_rate=0.9, state="failed"), step=None)
    assert [dict(group.left_out) for group in group_runs(ResultsDatabase(experiments))] == [{"failed": 1}] * 3
