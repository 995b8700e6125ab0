"""The run's results log: which evaluation's number is the result."""

import json
from pathlib import Path

import pytest

from core.runs import Run, result_log
from core.runs.directory import PARTS
from core.runs.evaluations import finish_evaluation, read_requests, start_evaluation
from core.runs.files import Fault, append_json_line
from core.runs.result_log import read_result_log
from core.utils.results import ResultMetadata, ResultRecord, ResultSource, ScalarResult, log_record

DATA = Path(__file__).parents[1] / "data"


def record(mean: float, name: str = "loss") -> ResultRecord:
    return ResultRecord(ResultMetadata(name), ScalarResult(mean, 0.5, 3))


def means(run_path: Path) -> list[float]:
    return [item.result.mean for item in read_result_log(run_path).newest()]


def test_the_newest_complete_evaluation_is_the_result(tmp_path: Path) -> None:
    for mean, is_finished in [(1.0, True), (2.0, True), (3.0, False)]:
        evaluation = start_evaluation(tmp_path, {"evaluators": ["x"]})
        log_record(record(mean), tmp_path, evaluation=evaluation)
        if is_finished:
            finish_evaluation(tmp_path, evaluation, 1)
    assert means(tmp_path) == [2.0]
    assert [item.result.mean for item in read_result_log(tmp_path).every()] == [1.0, 2.0, 3.0]


def test_records_of_training_and_of_no_evaluation_are_complete_by_themselves(tmp_path: Path) -> None:
    log_record(record(1.0, "a"), tmp_path, evaluation="train")
    log_record(record(2.0, "b"), tmp_path)
    assert means(tmp_path) == [1.0, 2.0]


def test_evaluation_ids_are_ordinals_and_never_given_twice(tmp_path: Path) -> None:
    assert [start_evaluation(tmp_path, {}) for _ in range(3)] == ["eval-0001", "eval-0002", "eval-0003"]
    (tmp_path / "evaluations" / "eval-0012.json").write_text("{}")
    assert start_evaluation(tmp_path, {}) == "eval-0013"


def test_what_each_evaluation_was_asked_for_is_read_in_their_order(tmp_path: Path) -> None:
    assert read_requests(tmp_path) == {}
    for n in (2, 3):
        start_evaluation(tmp_path, {"n_samples": n})
    (tmp_path / "evaluations/eval-10000.json").write_text('{"schema": "pyml.evaluation_request/1", "n_samples": 4}')
    (tmp_path / "evaluations/eval-0004.json").touch()  # as a process leaves it that is killed after its claim
    found = read_requests(tmp_path)
    fault = found.pop("eval-0004")
    assert list(found.items()) == [(f"eval-{i}", {"n_samples": n}) for i, n in (("0001", 2), ("0002", 3), ("10000", 4))]
    assert isinstance(fault, Fault)
    assert "eval-0004.json: is not valid JSON" in str(fault)


def test_the_request_of_an_evaluation_has_a_schema_of_its_own_and_old_files_load(tmp_path: Path) -> None:
    start_evaluation(tmp_path, {})
    assert json.loads((tmp_path / "evaluations/eval-0001.json").read_text()) == {"schema": "pyml.evaluation_request/1"}
    old = DATA / "run-1"
    assert json.loads((old / "evaluations/eval-0001.json").read_text())["schema"] == "pyml.evaluation/1"
    asked_for = read_requests(old)["eval-0001"]
    assert asked_for == {"evaluators": ["denoising"], "n_steps": [2], "n_samples": 2, "seed": 0, "weights": "ema"}


def test_lines_that_cannot_be_read_are_skipped_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    log_record(record(1.0), tmp_path)
    append_json_line(path, {"schema": "pyml.result/99", "x": 1})
    append_json_line(path, {"schema": "pyml.result/1", "evaluation": None, "metadata": {"name": "y"}})
    with path.open("ab") as file:
        file.write(b'\n{"schema": "pyml.result/1", "metad')
    log = read_result_log(tmp_path)
    assert [item.result.mean for item in log.newest()] == [1.0]
    assert len(log.faults) == 3
    assert any("schema 'pyml.result/99'" in str(fault) for fault in log.faults)
    assert any("missing field 'result'" in str(fault) for fault in log.faults)
    assert any("not valid JSON" in str(fault) for fault in log.faults)


def test_a_run_without_results_has_none(tmp_path: Path) -> None:
    log = read_result_log(tmp_path)
    assert len(log.newest()) == 0
    assert log.faults == ()


def test_the_first_format_ever_written_still_loads() -> None:
    log = read_result_log(DATA / "results-1")
    assert log.faults == ()
    (result,) = log.newest()
    assert result.metadata == ResultMetadata(
        "denoising_loss",
        n_steps=None,
        n_samples=None,
        unit="image",
        protocol={"split": "held_out"},
        higher_is_better=False,
    )
    assert result.result == ScalarResult(0.1, float("inf"), 360, n_nan=1, n_inf=2)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_record_that_is_not_on_disk_is_not_printed_as_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(result_log, "append_json_line", fail)
    with pytest.raises(type(error)):
        log_record(record(1.0), tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"NOT SAVED ({type(error).__name__}): loss: 1.00 ± 0.50")


def test_a_run_in_place_of_its_path_is_refused_with_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        Run({"seed": 0}, experiments_dir=tmp_path) as run,
        pytest.raises(TypeError, match=r"run_path: got .* \(Run\); accepted: .* Try: run\.log_record\(record\)"),
    ):
        log_record(record(1.0), run)  # type: ignore[arg-type] # what is tested
    assert means(run.path) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("where", [7, None, b"run"])
def test_what_is_no_path_is_refused_by_name(where: object) -> None:
    with pytest.raises(TypeError, match=r"run_path: got .*; accepted: the run directory, as str or Path"):
        log_record(record(1.0), where)  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize("held", ["notes.txt", "20260101T000000000000Z_c0ffee"])
def test_a_directory_that_holds_no_run_is_refused_and_the_result_is_shown(
    tmp_path: Path, held: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / held).mkdir()
    with pytest.raises(
        TypeError, match=r"run_path: .* holds files, but none of a run; .* Try: log_record\(record, run"
    ):
        log_record(record(1.0), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [held]
    out, err = capsys.readouterr()
    assert (out, err) == ("", "NOT SAVED (UnsavableError): loss: 1.00 ± 0.50  (n = 3, unit sample)\n")
    log_record(record(1.0), tmp_path, save=False)


@pytest.mark.parametrize("held", sorted(PARTS))
def test_a_directory_with_any_file_of_a_run_is_a_runs(tmp_path: Path, held: str) -> None:
    for name in (held, "notes.txt"):
        (tmp_path / name).touch()
    log_record(record(1.0), tmp_path)
    assert means(tmp_path) == [1.0]
    documented = (DATA.parents[1] / "docs" / "run_directory.md").read_text(encoding="utf-8")
    assert f"| `{held}` |" in documented or f"| `{held}/` |" in documented


def test_a_directory_named_like_a_run_is_a_runs(tmp_path: Path) -> None:
    path = tmp_path / "20260101T000000000000Z_c0ffee"
    path.mkdir()
    (path / "model.pt").touch()
    log_record(record(1.0), path)
    assert means(path) == [1.0]


def test_the_second_format_with_sources_roles_and_kinds_still_loads() -> None:
    log = read_result_log(DATA / "results-2")
    assert log.faults == ()
    accuracy, floor = log.newest()
    assert accuracy.metadata.kind == "proportion"
    assert accuracy.source == ResultSource(1200, "sha256:" + "0123456789abcdef" * 4, "ema", 7)
    assert (floor.metadata.role, floor.metadata.kind, floor.source) == ("reference", "mean", None)
    assert floor.result == ScalarResult(float("nan"), float("inf"), 3, n_nan=1, n_inf=2)
