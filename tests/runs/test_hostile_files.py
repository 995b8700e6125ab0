"""Damaged and hostile files: each costs its own run only and is named; nothing hangs or fills the memory."""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config.errors import ConfigError
from core.runs import strict_json
from core.runs.config_file import read_saved_config
from core.runs.evaluations import read_requests, start_evaluation
from core.runs.fast_results import read_results
from core.runs.files import Fault, append_json_line, read_file, read_json_lines
from core.runs.metrics import CurvePoint, read_curve
from core.runs.result_log import log_record, read_result_log
from core.runs.sample_values import read_clusters, read_values, save_values
from core.runs.status import STATUS, run_status
from core.utils.results import ResultMetadata, ResultRecord, ScalarResult

RUN = Path(__file__).parents[1] / "data" / "run-1"
Damage = Callable[[Path], object]

JSON_DAMAGES: dict[str, Damage] = {
    "deep": lambda path: path.write_text("[" * 100_000),
    "deep and closed": lambda path: path.write_text('{"a":' * 500 + "1" + "}" * 500),
    "digits": lambda path: path.write_text('{"schema": "x", "step": ' + "9" * 4300 + "}"),
    "infinite": lambda path: path.write_text('{"schema": "x", "step": 1e999}'),
    "constant": lambda path: path.write_text('{"schema": "x", "step": NaN}'),
    "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
    "directory": lambda path: (path.unlink(), path.mkdir()),
    "endless": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "link out of the run": lambda path: (path.rename(path.parents[1] / "moved"), path.symlink_to("../moved")),
    "loop": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "sparse": lambda path: (path.write_bytes(b""), os.truncate(path, 1 << 30)),
    "latin-1": lambda path: path.write_bytes(b'{"schema": "\xe9"}'),
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUN, tmp_path / "20260101T000000000000Z_000000"))


@pytest.mark.parametrize("damage", JSON_DAMAGES.values(), ids=JSON_DAMAGES)
@pytest.mark.parametrize("name", ["status.json", "config.json"])
def test_a_damaged_file_is_named_as_a_fault(run: Path, damage: Damage, name: str) -> None:
    damage(run / name)
    if name == "status.json":
        fault = STATUS.read(run)
        assert isinstance(fault, Fault)
        assert fault.path == run / name
        assert run_status(run).state == "unknown"
    else:
        with pytest.raises(ConfigError, match=r"config\.json"):
            read_saved_config(run / name)


@pytest.mark.parametrize("damage", JSON_DAMAGES.values(), ids=JSON_DAMAGES)
def test_damaged_lines_are_faults_and_both_readers_agree(run: Path, damage: Damage) -> None:
    damage(run / "results.jsonl")
    fast, careful = read_results(run), read_result_log(run)
    assert fast.faults
    assert [str(fault) for fault in fast.faults] == [str(fault) for fault in careful.faults]
    assert not fast.measures
    damage(run / "metrics.jsonl")
    points, faults = read_curve(run)
    assert (points, len(faults) > 0) == ([], True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('"mean": ', "9" * 400),
        ('"mean": ', "1e999"),
        ('"mean": ', "-1e999"),
        ('"n": ', "9" * 4300),
        ('"n": ', "9" * 5000),
        ('"n": ', "-1"),
        ('"n_nan": ', "9" * 41),
    ],
)
def test_a_number_out_of_bounds_costs_its_line_only(run: Path, field: str, value: str) -> None:
    path = run / "results.jsonl"
    lines = [line for line in path.read_text().splitlines() if line]
    first = next(i for i, line in enumerate(lines) if field in line)
    good = {record.metadata for record in read_result_log(run).newest()}
    before, _, after = lines[first].partition(field)
    lines[first] = before + field + value + after[min(after.index(","), after.index("}") if "}" in after else 99) :]
    path.write_text("\n".join(lines) + "\n")
    fast, careful = read_results(run), read_result_log(run)
    assert len(careful.faults) == 1
    assert set(fast.measures) == {record.metadata for record in careful.newest()} == good - {_metadata_of(run, first)}


@pytest.mark.parametrize(
    ("result", "read"),
    [
        (ScalarResult(1.5e150, 0.5, 4), ScalarResult(math.inf, math.nan, 4)),
        (ScalarResult(-1.7e308), ScalarResult(-math.inf)),
        (ScalarResult(1.0, 1e151, 4), ScalarResult(1.0, math.inf, 4)),
    ],
)
def test_a_result_beyond_the_bound_counts_as_infinite(run: Path, result: ScalarResult, read: ScalarResult) -> None:
    metadata = ResultMetadata("diverged")
    log_record(ResultRecord(metadata, result), run)
    fast, careful = read_results(run), read_result_log(run)
    assert "accepted: numbers up to 1e+150, or infinity; it counts as infinite" in str(careful.faults[-1])
    assert [str(fault) for fault in fast.faults] == [str(fault) for fault in careful.faults]
    assert careful.newest()[-1].result == ScalarResult(**fast.measures[metadata]) == read


def _metadata_of(run: Path, index: int) -> object:
    lines = [line for line in (RUN / "results.jsonl").read_text().splitlines() if line]
    name = json.loads(lines[index])["metadata"]["name"]
    return next(r.metadata for r in read_result_log(RUN).every() if r.metadata.name == name)


@pytest.mark.parametrize("evaluation", ["../../../outside", "/etc", "a/b", "..", ".", "", "a\\b", "x" * 200])
def test_an_evaluation_id_that_is_a_path_is_refused(run: Path, evaluation: str) -> None:
    path = run / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    for line in lines:
        if line["evaluation"] != "train":
            line["evaluation"] = evaluation
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    careful, fast = read_result_log(run), read_results(run)
    assert {entry.evaluation for entry in careful.entries} <= {None, "train"}
    assert any("evaluation" in str(fault) for fault in careful.faults)
    assert set(fast.measures) == {record.metadata for record in careful.newest()}


def test_a_link_inside_the_run_is_followed(run: Path) -> None:
    (run / "status.json").rename(run / "kept.json")
    (run / "status.json").symlink_to("kept.json")
    assert run_status(run).state == "finished"


def test_a_run_directory_may_itself_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    assert run_status(tmp_path / "link").state == "finished"


def test_a_file_above_the_stated_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1001)
    assert len(read_file(str(tmp_path / "large"), 1001)) == 1001
    with pytest.raises(OSError, match=r"holds 1,001 bytes; accepted: at most 1,000"):
        read_file(str(tmp_path / "large"), 1000)


def test_lines_behind_a_bad_one_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": ' + "[" * 1000 + '\n{"a": ' + "1" * 50 + '}\n{"a": 2}\n')
    rows, faults = read_json_lines(path)
    assert rows == [{"a": 1}, {"a": 2}]
    assert [fault.line_number for fault in faults] == [2, 3]


@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"a": ', "}")])
def test_json_may_be_nested_64_deep_and_no_deeper(before: str, after: str) -> None:
    assert strict_json.loads(f"{before * 64}1{after * 64}")
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        strict_json.loads(f"{before * 65}1{after * 65}")
    many = f"[{', '.join([before + '1' + after] * 500)}]"
    assert len(strict_json.loads(many)) == 500
    assert strict_json.loads(f'"{"[" * 100}"') == "[" * 100  # in a string they open nothing


def test_a_curve_beyond_the_bound_counts_as_infinite_and_values_are_not_used(run: Path) -> None:
    point = {"schema": "pyml.metrics/1", "step": 10**6, "epoch": 1, "measures": {"loss": {"mean": -1.5e308}}}
    before, _ = read_curve(run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(point) + "\n")
    points, faults = read_curve(run)
    assert points == [*before, CurvePoint(10**6, 1, {"loss": -math.inf})]
    assert "step 1000000: the mean of loss is beyond 1e+150; it counts as infinite" in str(faults[-1])
    metadata = ResultMetadata("loss")
    save_values(run, "eval-0001", "loss", [0, 1], [1e308, -1e308], metadata)
    values, faults = read_values(run, "eval-0001", metadata)
    assert values is None
    assert "holds values beyond 1e+150" in str(faults[-1])


@pytest.mark.parametrize("damage", ["fifo", "endless", "link out of the run", "directory"])
@pytest.mark.parametrize("name", ["results.jsonl", "metrics.jsonl"])
def test_nothing_is_appended_to_a_file_that_no_reader_opens(run: Path, damage: str, name: str) -> None:
    before = (run / name).read_bytes()
    JSON_DAMAGES[damage](run / name)
    with pytest.raises(OSError, match=r"is not a regular file|is a link that leads out of the run|Is a directory"):
        append_json_line(run / name, {"a": 1})
    if damage == "link out of the run":
        assert (run.parent / "moved").read_bytes() == before


def test_a_result_that_no_reader_could_find_is_not_printed_as_logged(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    JSON_DAMAGES["link out of the run"](run / "results.jsonl")
    with pytest.raises(OSError, match=r"leads out of the run"):
        log_record(ResultRecord(ResultMetadata("loss"), ScalarResult(0.5, 0.1, 10)), run)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("NOT SAVED")


@pytest.fixture
def leave(run: Path) -> Callable[[str], Path]:
    """Moves a directory of the run outside of it and leaves a link; returns where it is now."""

    def move(name: str) -> Path:
        outside = run.parent / "outside"
        (run / name).rename(outside)
        (run / name).symlink_to(outside)
        return outside

    return move


@pytest.mark.parametrize("name", ["values", "values/eval-0001"])
def test_a_directory_of_values_that_is_a_link_out_of_the_run_is_a_fault(
    run: Path, leave: Callable[[str], Path], name: str
) -> None:
    metadata = ResultMetadata("x")
    save_values(run, "eval-0001", "x", [0, 1], [1.0, 2.0], metadata)
    assert read_values(run, "eval-0001", metadata)[0] == {0: 1.0, 1: 2.0}
    outside = leave(name)
    held = sorted(outside.rglob("*"))
    values, faults = read_values(run, "eval-0001", metadata)
    assert values is None
    assert "is a link that leads out of the run" in str(faults[0])
    assert read_clusters(run, "eval-0001", metadata) is None
    with pytest.raises(OSError, match=r"is a link that leads out of the run"):
        save_values(run, "eval-0001", "y", [0], [1.0], metadata)
    assert sorted(outside.rglob("*")) == held


def test_a_directory_of_evaluations_that_is_a_link_out_of_the_run_is_a_fault(
    run: Path, leave: Callable[[str], Path]
) -> None:
    outside = leave("evaluations")
    held = sorted(outside.iterdir())
    (fault,) = read_requests(run).values()
    assert "evaluations: is a link that leads out of the run" in str(fault)
    with pytest.raises(OSError, match=r"is a link that leads out of the run"):
        start_evaluation(run, {})
    assert sorted(outside.iterdir()) == held


def test_a_directory_that_leads_to_itself_is_a_fault(run: Path) -> None:
    (run / "values").mkdir(exist_ok=True)
    (run / "values" / "eval-0009").symlink_to("eval-0009")
    values, faults = read_values(run, "eval-0009", ResultMetadata("x"))
    assert (values, len(faults)) == (None, 1 if sys.version_info < (3, 13) else 0)


@pytest.mark.parametrize("name", ["step", "epoch"])
@pytest.mark.parametrize("value", [10**18, 10**39, 1e300, -5, 0.5, True, "7", "9" * 400, [], {"a": 1}], ids=repr)
def test_a_step_that_no_run_takes_costs_its_line_only(run: Path, name: str, value: object) -> None:
    before, _ = read_curve(run)
    point = {"schema": "pyml.metrics/1", "step": 10**6, "epoch": 1, "measures": {"loss": {"mean": 1.0}}, name: value}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(point) + "\n")
    points, faults = read_curve(run)
    assert points == before
    assert f"{name}: got " in str(faults[-1])
