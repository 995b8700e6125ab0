"""Damaged and hostile files: each costs its own run only and is named; nothing hangs or fills the memory."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config.errors import ConfigError
from core.runs.config_file import read_saved_config
from core.runs.fast_results import read_results
from core.runs.files import Fault, read_file, read_json_lines
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log
from core.runs.sample_values import read_values, save_values
from core.runs.status import STATUS, run_status
from core.utils.results import ResultMetadata

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
        ('"mean": ', "1e308"),
        ('"mean": ', "-1.7e308"),
        ('"error": ', "1e151"),
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


def test_a_curve_or_values_beyond_the_bound_are_faults(run: Path) -> None:
    point = {"schema": "pyml.metrics/1", "step": 10**6, "epoch": 1, "measures": {"loss": {"mean": -1.5e308}}}
    before, _ = read_curve(run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(point) + "\n")
    points, faults = read_curve(run)
    assert points == before
    assert "a mean is beyond 1e+150" in str(faults[-1])
    metadata = ResultMetadata("loss")
    save_values(run, "eval-0001", "loss", [0, 1], [1e308, -1e308], metadata)
    values, faults = read_values(run, "eval-0001", metadata)
    assert values is None
    assert "holds values beyond 1e+150" in str(faults[-1])
