"""Every Eval Ever JSON: valid by its own schema, with the numbers that the runs hold."""

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import scipy.stats

from core.cli import group
from core.cli import run as run_command
from core.runs import Run
from core.utils.meters import Meter
from core.utils.records import ScalarResult
from results.exchange.directory import write_directory
from results.exchange.import_runs import import_mlruns

DATA = Path(__file__).parents[2] / "data"
SCHEMA = json.loads((DATA / "every_eval_ever" / "eval.schema.json").read_text())
CORRECT = [True] * 24 + [False]
LOSSES = [0.5, 0.25, 1.0, 0.75]


def invoke(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run_command(group, ["export", "eee", *arguments], name="pyml")
    assert isinstance(ended.value.code, int)
    return ended.value.code


def exported(directory: Path) -> dict[str, dict[str, Any]]:
    """Return each document, valid by the schema, by the id of its run."""
    found = {path.stem: json.loads(path.read_text()) for path in directory.glob("*.json")}
    for document in found.values():
        jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft7Validator)
    return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a proportion, a mean, a number, a diverged loss, one without direction, and a time."""
    config = {"model": "resnet", "seed": 0, "layers": [64, 64], "lr": 1e-3}
    with Run(config, experiments_dir=tmp_path / "runs") as made:
        about = {"split": "test", "dataset": "digits", "augmented": False}
        made.log_result("accuracy", CORRECT, unit="image", protocol=about, higher_is_better=True)
        meter = Meter(nan_policy="omit")
        meter.update(loss=[*LOSSES, math.nan])
        made.log_result("loss", meter, unit="image", higher_is_better=False, n_steps=18)
        made.log_result("perplexity", 3.5, higher_is_better=False)
        made.log_result("diverged", ScalarResult(math.inf), higher_is_better=False)
        made.log_result("undirected", 1.0)
        made.log_result("all_right", [True] * 9, higher_is_better=True)
        made.log_result("time/train", 4.0, higher_is_better=False)
    return made


def test_the_document_is_valid_and_holds_error_interval_and_n(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = invoke("--experiments-dir", str(tmp_path / "runs"), "-o", str(out), "--organisation", "Example Lab")
    assert code == 0
    (document,) = exported(out).values()
    assert document["evaluation_id"] == f"Example Lab/resnet/{run.id}"
    assert document["model_info"]["additional_details"]["config.layers"] == "[64, 64]"
    assert document["eval_library"]["name"] == "pyml-core"
    results = {result["evaluation_name"]: result for result in document["evaluation_results"]}
    assert set(results) == {"accuracy", "loss", "perplexity", "all_right"}

    wilson = scipy.stats.binomtest(24, 25).proportion_ci(method="wilson")
    accuracy = results["accuracy"]
    uncertainty = accuracy["score_details"]["uncertainty"]
    assert accuracy["score_details"]["score"] == 24 / 25
    assert uncertainty["standard_error"]["value"] == pytest.approx(scipy.stats.sem(CORRECT), rel=1e-12)
    assert uncertainty["confidence_interval"]["lower"] == pytest.approx(wilson.low, rel=1e-12)
    assert uncertainty["confidence_interval"]["upper"] == pytest.approx(wilson.high, rel=1e-12)
    assert uncertainty["num_samples"] == 25
    assert accuracy["source_data"]["dataset_name"] == "digits"
    assert accuracy["source_data"]["additional_details"]["augmented"] == "false"
    assert (accuracy["metric_config"]["min_score"], accuracy["metric_config"]["max_score"]) == (0, 1)

    low, high = scipy.stats.t.interval(0.95, 3, loc=0.625, scale=scipy.stats.sem(LOSSES))
    uncertainty = results["loss"]["score_details"]["uncertainty"]
    assert uncertainty["confidence_interval"]["lower"] == pytest.approx(low, rel=1e-12)
    assert uncertainty["confidence_interval"]["upper"] == pytest.approx(high, rel=1e-12)
    assert results["loss"]["metric_config"]["lower_is_better"] is True
    assert results["loss"]["metric_config"]["additional_details"]["observations_left_out_as_nan"] == "1"
    assert results["loss"]["source_data"]["additional_details"]["n_steps"] == "18"

    assert results["perplexity"]["score_details"] == {"score": 3.5, "uncertainty": {}}  # nothing is known
    equal = results["all_right"]["score_details"]["uncertainty"]
    assert "standard_error" not in equal  # nine equal observations say nothing about the spread
    assert equal["num_samples"] == 9
    err = capsys.readouterr().err
    assert f"Left out: {run.id}: diverged is inf, which is no score" in err
    assert f"Left out: {run.id}: undirected does not say which direction is better" in err


def test_measures_and_directions_can_be_chosen(run: Run, tmp_path: Path) -> None:
    where = ["--experiments-dir", str(tmp_path / "runs"), "-o", str(tmp_path / "out")]
    assert invoke(*where, "--metric", "undirected", "--metric", "time/*", "--lower", "undir*") == 0
    (document,) = exported(tmp_path / "out").values()
    results = {result["evaluation_name"]: result["metric_config"] for result in document["evaluation_results"]}
    assert set(results) == {"undirected", "time/train"}
    assert results["undirected"]["lower_is_better"] is True


def test_imported_runs_are_exported_as_of_an_unknown_library(tmp_path: Path) -> None:
    import_mlruns(DATA / "mlruns", tmp_path / "runs")
    where = ["--experiments-dir", str(tmp_path / "runs"), "-o", str(tmp_path / "out")]
    assert invoke(*where, "--higher", "*acc*", "--lower", "loss", "--where", "status=finished") == 0
    documents = exported(tmp_path / "out")
    assert len(documents) == 4
    for document in documents.values():
        assert document["eval_library"] == {"name": "unknown", "version": "unknown"}
        assert {len(result["score_details"]["uncertainty"]) for result in document["evaluation_results"]} == {1}


def test_nothing_is_written_into_a_directory_that_holds_something(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert invoke("--experiments-dir", str(tmp_path / "runs"), "-o", str(tmp_path / "out")) == 2
    assert "exists already; accepted: a new or empty directory" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="null byte"):
        write_directory(tmp_path / "out", {"a.json": b"{}", "b\0.json": b"{}"})
    assert list(tmp_path.iterdir()) == []


def test_without_a_result_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Run({"seed": 0}, experiments_dir=tmp_path / "runs") as made:
        made.log_result("undirected", 1.0)
    assert invoke("--experiments-dir", str(tmp_path / "runs"), "-o", str(tmp_path / "out")) == 2
    assert "no run has a result that can be exported" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
