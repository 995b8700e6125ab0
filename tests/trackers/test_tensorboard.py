"""The tracker ``tensorboard``: TensorBoard reads back what the run directory holds."""

import math
import struct
import sys
from pathlib import Path

import pytest

from core.cli import run as run_command
from core.commands.eval import evaluate
from core.commands.train import train
from core.config import ConfigError
from core.runs import Run
from core.runs.files import read_json_lines
from core.runs.result_log import read_result_log
from core.utils.records import ResultSource, ScalarResult

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

Series = dict[str, list[tuple[int, float]]]
TRACKED = ["tensorboard"]


def read(run_path: Path, part: str) -> Series:
    """Return every scalar by its tag, as TensorBoard reads it."""
    reader = accumulator.EventAccumulator(str(run_path / "tensorboard" / part), size_guidance={"scalars": 0})
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
        if reader.Scalars(tag)
    }


def float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def curve_on_disk(run_path: Path) -> Series:
    """Return every number of metrics.jsonl by name; of several lines with one step the last counts."""
    lines = {row["step"]: row for row in read_json_lines(run_path / "metrics.jsonl")[0]}
    series: Series = {}
    for step in sorted(lines):
        row = lines[step]
        numbers = {name: measure["mean"] for name, measure in row["measures"].items()}
        numbers |= {name: row[name] for name in row.keys() - {"schema", "step", "epoch", "measures"}}
        for name, value in numbers.items():
            series.setdefault(name, []).append((step, float32(value)))
    return series


def add_points(run: Run, *steps: int) -> None:
    for step in steps:
        run.meter.update(loss=[1 / (step + 1), 1 / 3], accuracy=[True, False, True])
        run.log_curve(step)


def test_the_events_of_a_curve_equal_the_runs_file(tmp_path: Path) -> None:
    with Run({"lr": 0.1}, path=tmp_path / "run", trackers=TRACKED) as run:
        add_points(run, 10, 20, 30)
        before_the_end = read(run.path, "train")
    assert before_the_end == read(run.path, "train") == curve_on_disk(run.path)
    assert [step for step, _ in before_the_end["loss"]] == [10, 20, 30]
    assert set(before_the_end) == {"loss", "accuracy", "wall_time_s"}


def test_a_resumed_run_that_repeats_steps_reads_as_its_file(tmp_path: Path) -> None:
    with Run({"lr": 0.1}, path=tmp_path / "run", trackers=TRACKED) as run:
        add_points(run, 10, 20, 30)
    for steps in ((20, 30, 40), (50,)):
        with Run.resume(run.path, trackers=TRACKED) as run:
            add_points(run, *steps)
    assert read(run.path, "train") == curve_on_disk(run.path)
    assert [step for step, _ in curve_on_disk(run.path)["loss"]] == [10, 20, 30, 40, 50]
    assert len(read_json_lines(run.path / "metrics.jsonl")[0]) == 7


def test_a_second_point_of_a_step_replaces_the_first(tmp_path: Path) -> None:
    with Run({"lr": 0.1}, path=tmp_path / "run", trackers=TRACKED) as run:
        add_points(run, 10, 20)
        run.meter.update(loss=9.0, accuracy=True)
        run.log_curve(20)
    assert read(run.path, "train") == curve_on_disk(run.path)
    assert read(run.path, "train")["loss"][-1] == (20, 9.0)


def test_results_and_their_errors_are_scalars_at_the_step_that_was_measured(tmp_path: Path) -> None:
    with Run({"lr": 0.1}, path=tmp_path / "run", trackers=TRACKED) as run:
        add_points(run, 10)
        run.log_result("accuracy", ScalarResult(0.75, 0.125, 12))
        run.log_result("perplexity", 3.5)
        run.log_result("diverged", ScalarResult(math.nan))
    with Run.open(run.path, trackers=TRACKED) as evaluation:
        evaluation.log_result("accuracy", ScalarResult(0.5, 0.25, 4), source=ResultSource(step=7))
        evaluation.log_result("fid", ScalarResult(2.0, 0.5, 9), n_steps=18, protocol={"sampler": "heun"})
        evaluation.log_result("fid", ScalarResult(3.0, 0.5, 9), n_steps=18, protocol={"sampler": "euler"})
    found = read(run.path, "train")
    assert found["results/accuracy"] == [(10, 0.75)]
    assert found["results/accuracy/error"] == [(10, 0.125)]
    assert found["results/perplexity"] == [(10, 3.5)]
    assert "results/perplexity/error" not in found
    assert math.isnan(found["results/diverged"][0][1])
    assert read(run.path, "eval") == {
        "results/accuracy": [(7, 0.5)],
        "results/accuracy/error": [(7, 0.25)],
        "results/fid (n_steps=18)": [(10, 2.0)],
        "results/fid (n_steps=18)/error": [(10, 0.5)],
        "results/fid (per sample; n_steps=18, sampler=euler)": [(10, 3.0)],
        "results/fid (per sample; n_steps=18, sampler=euler)/error": [(10, 0.5)],
    }


def test_train_and_eval_take_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--experiments-dir", str(tmp_path), "--tracker", "tensorboard"]
    for command, arguments in ((train, where), (evaluate, ["latest", *where])):
        with pytest.raises(SystemExit) as ended:
            run_command(command, arguments)
        assert ended.value.code == 0, capsys.readouterr().err
    (run_path,) = tmp_path.iterdir()
    logged = {entry.record.metadata.name for entry in read_result_log(run_path).entries}
    tags = {tag.split(" ")[0] for part in ("train", "eval") for tag in read(run_path, part)}
    assert {tag.removeprefix("results/").removesuffix("/error") for tag in tags} == logged
    assert "time/train" in logged


def test_an_option_that_names_no_tracker_costs_no_run_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(train, ["--experiments-dir", str(tmp_path / "runs"), "--tracker", "nothing"])
    assert ended.value.code == 2
    assert "unknown tracker 'nothing'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(
        ConfigError, match=r"needs the package tensorboard.*Try: pip install 'pyml-core\[tensorboard\]'"
    ):
        Run({}, path=tmp_path / "run", trackers=TRACKED).start()
    assert not (tmp_path / "run").exists()
