"""Training curves of runs and groups."""

import math
import statistics
from pathlib import Path

import pytest
from made_runs import LOSS, MakeRun, log_curve

from core.runs.files import append_json_line
from results.curve import curve_names, group_curves, read_curve
from results.database import ResultsDatabase
from results.groups import group_runs


def test_the_last_line_of_a_step_is_the_curves(make_run: MakeRun, experiments: Path) -> None:
    path = make_run()
    log_curve(path, {10: 3.0, 20: 2.0, 30: 1.0})
    log_curve(path, {20: 2.5, 30: math.nan})  # resumed from step 10
    (run,) = ResultsDatabase(experiments)
    points = read_curve(run)
    assert [point.step for point in points] == [10, 20, 30]
    assert [point.means["loss"] for point in points][:2] == [3.0, 2.5]
    assert math.isnan(points[2].means["loss"])


def test_lines_that_are_no_points_are_skipped_and_reported(make_run: MakeRun, experiments: Path) -> None:
    path = make_run()
    log_curve(path, {10: 3.0})
    append_json_line(path / "metrics.jsonl", {"schema": "pyml.metrics/2"})
    append_json_line(
        path / "metrics.jsonl", {"schema": "pyml.metrics/1", "step": 3, "epoch": 1, "measures": {"loss": 1}}
    )
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"schema": "pyml.met')
    (run,) = ResultsDatabase(experiments)
    assert [point.step for point in read_curve(run)] == [10]
    reasons = [str(fault) for fault in run.faults]
    assert len(reasons) == 3
    for reason in ("not valid JSON", "pyml.metrics/2", "is not a point of a curve"):
        assert any(reason in one for one in reasons)


def test_a_groups_curve_is_the_mean_over_its_runs_at_each_step(make_run: MakeRun, experiments: Path) -> None:
    for seed, values in enumerate([[3.0, 2.0], [3.4, 2.2], [3.2, 2.7]]):
        log_curve(make_run({LOSS: 0.1}, seed=seed), {10: values[0], 20: values[1]})
    log_curve(make_run({LOSS: 0.1}, seed=3), {10: 3.6})
    log_curve(make_run(seed=4, state="failed"), {10: 99.0})
    (group,) = group_runs(ResultsDatabase(experiments))
    curve = group_curves(group, ["loss", "nothing"])["loss"]
    assert curve.positions == (10, 20)
    assert [summary.n for summary in curve.summaries] == [4, 3]
    assert curve.n_text == "3 to 4 runs"
    assert curve.summaries[0].mean == pytest.approx(3.3)
    assert curve.summaries[1].error == pytest.approx(statistics.stdev([2.0, 2.2, 2.7]) / math.sqrt(3))
    assert group_curves(group, ["loss"], "epoch")["loss"].positions == (1, 2)
    assert curve_names([group]) == ["loss"]


def test_a_run_without_a_curve_has_none(make_run: MakeRun, experiments: Path) -> None:
    make_run()
    (group,) = group_runs(ResultsDatabase(experiments))
    assert group_curves(group, ["loss"]) == {}
    assert curve_names([group]) == []


def test_the_loss_comes_first_and_parts_come_last(make_run: MakeRun, experiments: Path) -> None:
    measures = {name: {"mean": 1.0} for name in ("grad_norm", "loss/small", "loss", "x")}
    line = {"schema": "pyml.metrics/1", "step": 1, "epoch": 1, "measures": measures}
    append_json_line(make_run() / "metrics.jsonl", line)
    assert curve_names(group_runs(ResultsDatabase(experiments))) == ["loss", "grad_norm", "x", "loss/small"]


def test_a_measure_of_some_points_only_is_known_and_has_a_curve_of_these(make_run: MakeRun, experiments: Path) -> None:
    path = make_run()
    for step, names in (
        (1, ["loss"]),
        (2, ["loss", "validation_loss"]),
        (3, ["loss"]),
        (4, ["loss", "validation_loss"]),
    ):
        measures = {name: {"mean": 1.0 / step} for name in names}
        append_json_line(path / "metrics.jsonl", {"schema": "pyml.metrics/1", "step": step, "measures": measures})
    (group,) = group_runs(ResultsDatabase(experiments))
    assert curve_names([group]) == ["loss", "validation_loss"]
    curve = group_curves(group, ["validation_loss"])["validation_loss"]
    assert curve.positions == (2, 4)
    assert [summary.mean for summary in curve.summaries] == [0.5, 0.25]
