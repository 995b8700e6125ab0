"""MLflow's file store becomes runs. tests/data/mlruns was written by mlflow-skinny 3.17.2."""

import itertools
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cli import group, run
from core.config import ConfigError
from core.runs import strict_json
from core.runs.directory import RUN_ID, run_ids
from core.runs.environment import read_environment_fields
from core.runs.metrics import curve_line, lines_of_values, read_curve
from core.runs.result_log import read_result_log
from core.runs.status import run_status
from core.runs.tags import Tags, read_tags
from results.database import ResultsDatabase
from results.exchange import imported
from results.exchange.import_runs import import_mlruns
from results.exchange.imported import value_of
from results.exchange.mlflow_store import _points
from results.groups import group_runs

STORE = Path(__file__).parents[2] / "data" / "mlruns"
FOLDED = (
    "forest lr=0.001 a name that is long enough to be folded over several lines by a writer of YAML, which folds at 80"
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the store, to be changed."""
    return Path(shutil.copytree(STORE, tmp_path / "mlruns"))


def environments(experiments: Path) -> dict[str, Path]:
    """Return each run's directory by the name that it has in MLflow and its seed."""
    found = {}
    for run_id in run_ids(experiments):
        config = json.loads((experiments / run_id / "config.json").read_text())["config"]
        environment = read_environment_fields(experiments / run_id)
        found[f"{environment['mlflow_run_name'][:15]} {config.get('lr')} {config.get('seed')}"] = experiments / run_id
    return found


def folded(experiments: Path) -> Path:
    return environments(experiments)["forest lr=0.001 0.001 1"]


def invoke(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(group, arguments, name="pyml")
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_finished_and_failed_runs_become_runs_with_their_ids_config_and_status(tmp_path: Path) -> None:
    done = import_mlruns(STORE, tmp_path)
    assert (len(done.new), done.n_before, done.n_deleted, done.n_unfinished, done.faults) == (5, 0, 1, 1, [])
    assert run_ids(tmp_path) == sorted(done.new)
    assert all(RUN_ID.fullmatch(run_id) for run_id in done.new)
    path = folded(tmp_path)
    assert json.loads((path / "config.json").read_text())["config"] == {
        "experiment": "digits: forest",
        "depth": 8,
        "lr": 0.001,
        "nothing": None,
        "optimizer/name": "adam",
        "seed": 1,
        "tag": "007",
        "use_bn": True,
        "version": "1.10",
    }
    status = run_status(path)
    assert (status.state, status.reason, status.step) == ("finished", None, 30)
    environment = read_environment_fields(path)
    assert (environment["mlflow_run_name"], environment["mlflow_tags"]) == (FOLDED, {"purpose": "a test"})
    assert len(environment["git_commit"]) == 40
    assert read_tags(path) == Tags((), "first try\nof two", False)
    failed = run_status(environments(tmp_path)["it's 'failing' 1e-05 None"])
    assert (failed.state, failed.reason) == ("failed", "MLflow says FAILED")


def test_metrics_with_steps_become_the_curve_and_last_values_results_without_an_error(tmp_path: Path) -> None:
    import_mlruns(STORE, tmp_path)
    path = folded(tmp_path)
    points, faults = read_curve(path)
    assert not faults
    # what the script that made the store logged: 1 / (step + seed + 100 lr), and step / 40
    assert [(point.step, point.means) for point in points] == [
        (step, {"loss": 1 / (step + 1 + 0.001 * 100), "val/acc": step / 40}) for step in (10, 20, 30)
    ]
    log = read_result_log(path)
    assert log.faults == ()
    found = {record.metadata.name: record for record in log.newest()}
    assert {name: record.result.mean for name, record in found.items()} == {
        "loss": points[-1].means["loss"],
        "val/acc": 0.75,
        "test_accuracy": 0.9 + 0.001 + 0.01,
    }
    assert all(math.isnan(record.result.error) and record.result.n == 1 for record in found.values())
    assert {record.metadata.unit for record in found.values()} == {"run"}


def test_the_database_groups_imported_runs_by_seed(tmp_path: Path) -> None:
    import_mlruns(STORE, tmp_path)
    groups = group_runs(ResultsDatabase(tmp_path))
    assert sorted(len(group.runs) for group in groups) == [1, 2, 2]


def test_importing_again_imports_only_what_is_new(store: Path, tmp_path: Path) -> None:
    experiments = tmp_path / "runs"
    run_path = next(path.parents[1] for path in store.glob("*/*/params/seed"))
    shutil.move(run_path, tmp_path / "later")
    first = import_mlruns(store, experiments)
    before = {path: path.read_bytes() for path in experiments.rglob("*") if path.is_file()}
    shutil.move(tmp_path / "later", run_path)
    second = import_mlruns(store, experiments)
    assert (len(first.new), len(second.new), second.n_before) == (4, 1, 4)
    assert {path: path.read_bytes() for path in before} == before
    assert len(run_ids(experiments)) == 5


def test_two_runs_that_would_get_one_id_get_two(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def few(stored: Any) -> list[str]:
        return [f"20260101T000000000000Z_00000{digit}" for digit in range(9)]

    monkeypatch.setattr(imported, "ids", few)
    assert len(set(import_mlruns(store, tmp_path / "runs").new)) == 5
    again = import_mlruns(store, tmp_path / "runs")
    assert (again.new, again.n_before) == ([], 5)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("meta.yaml", None, "meta.yaml: cannot be read (No such file or directory)"),
        ("meta.yaml", b"a: [", "meta.yaml: is not YAML"),
        ("meta.yaml", b"just text", "meta.yaml: holds no fields"),
        ("meta.yaml", b"run_id: x\nstatus: 9\n", "status: got 9; accepted: 1 to 5, MLflow's numbers"),
        ("meta.yaml", b"run_id: x\nstatus: 3\n", "meta.yaml: has no field 'start_time'"),
        ("meta.yaml", b"run_id: x\nstatus: 3\nstart_time: soon\n", "start_time or end_time: got 'soon'; accepted"),
        ("metrics/loss", b"1 0.5 1\n1 half 2\n", "loss, line 2: got b'1 half 2'; accepted: TIMESTAMP VALUE STEP"),
        ("metrics/loss", b"1 0.5 " + b"9" * 19 + b"\n", "loss, line 1: got b'1 0.5 9999999999999999999'; accepted"),
        ("metrics/loss", b"9" * 400 + b" 0.5 1\n", "loss, line 1: got b'9999"),
        ("metrics/loss", b"", "loss: holds no value"),
        ("metrics/loss", b"1 0.5 -3\n", "metric 'loss': got the step -3; accepted: 0 or more"),
        ("params/lr", b"\xff", "lr: is not UTF-8"),
    ],
)
def test_a_damaged_run_costs_its_own_line_only(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes | None, reason: str
) -> None:
    victim = next(path.parents[1] for path in store.glob("*/*/params/seed"))
    if content is None:
        (victim / file).unlink()
    else:
        (victim / file).write_bytes(content)
    assert invoke("import", "mlruns", str(store), "--experiments-dir", str(tmp_path / "runs")) == 0
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith(f"Left out: {victim}")
    assert reason in line
    assert out.startswith("Imported 4 runs into")
    assert "1 damaged" in out
    assert len(run_ids(tmp_path / "runs")) == 4


#: Lists of lists of lists: a few hundred bytes that stand for 9**12 texts.
LAUGHS = "a: &a [x]\n" + "".join(
    f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in itertools.pairwise("abcdefghijkl")
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{y}: &{y} {{<<: [{', '.join([f'*{x}'] * 9)}]}}\n" for x, y in itertools.pairwise("abcdefghijkl")
)


@pytest.mark.parametrize("bomb", [LAUGHS, MERGES], ids=["lists", "merged"])
@pytest.mark.parametrize("field", ["run_id", "run_name", "status", "start_time"])
def test_a_text_that_expands_beyond_the_memory_is_refused(store: Path, tmp_path: Path, bomb: str, field: str) -> None:
    victim = next(store.glob("*/*/meta.yaml"))
    rest = "".join(line for line in victim.read_text().splitlines(True) if not line.startswith(f"{field}:"))
    victim.write_text(f"{bomb}{field}: *l\n{rest}")
    done = import_mlruns(store, tmp_path / "out")
    assert [str(fault.path) for fault in done.faults] == [str(victim.parent)]
    assert "meta.yaml: refers to parts of itself, which MLflow never writes" in done.faults[0].reason


@pytest.mark.parametrize("name", ["params", "metrics", "tags"])
def test_nothing_is_imported_through_a_link_out_of_a_run(store: Path, tmp_path: Path, name: str) -> None:
    victim = next(store.glob("*/*/params")).parent
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "private").write_text("1 0.5 3\n")
    shutil.rmtree(victim / name)
    (victim / name).symlink_to(tmp_path / "outside")
    done = import_mlruns(store, tmp_path / "out")
    assert [str(fault.path) for fault in done.faults] == [str(victim)]
    assert f"{name}: cannot be read (is a link that leads out of the run)" in done.faults[0].reason
    assert not [path for path in (tmp_path / "out").rglob("*.json*") if "private" in path.read_text()]


def test_runs_that_mlflow_calls_running_are_imported_on_request(tmp_path: Path) -> None:
    done = import_mlruns(STORE, tmp_path, unfinished=True)
    assert (len(done.new), done.n_unfinished) == (6, 0)
    status = run_status(environments(tmp_path)["still running None None"])
    assert (status.state, status.reason) == ("interrupted", "MLflow says RUNNING")


def test_lines_with_a_data_set_or_without_a_step_are_read(store: Path, tmp_path: Path) -> None:
    victim = next(path.parents[1] for path in store.glob("*/*/params/seed"))
    (victim / "metrics/loss").write_text("1000 0.5 5 train 4be9bb07\n900 0.75 5\n1000 0.25 7 train 4be9bb07\n")
    (victim / "metrics/old").write_text("1000 0.5\n2000 2.5\n")
    done = import_mlruns(store, tmp_path / "runs")
    paths = [tmp_path / "runs" / run_id for run_id in done.new]
    (path,) = [path for path in paths if '"old"' in (path / "results.jsonl").read_text()]
    points = [(point.step, point.means["loss"]) for point in read_curve(path)[0] if "loss" in point.means]
    assert points == [(5, 0.5), (7, 0.25)]  # of several values at one step the latest counts
    assert all("old" not in point.means for point in read_curve(path)[0])  # never logged with a step
    assert {r.metadata.name: r.result.mean for r in read_result_log(path).newest()}["old"] == 2.5


@pytest.mark.parametrize(
    "lines",
    [
        "1 0.5 0\n2 0.25 1\n",
        "1 nan 0\n2 -inf 3\n3 1e-3 7\n",
        "1 0.5 0\n2 0.25 1",  # no newline at the end
        "1 0.5 0\n\n2 0.25 1\n",
        "1 0.5 0 data digest\n2 0.25 1\n",
        "1 0.5\n2 0.25 1\n",
        "2 0.25 1\n1 0.5 0\n",
        "1 7 1\n2 0.25 1\n1 0.5 0\n",
        "1 0.5 -1\n2 0.25 0\n",
    ],
)
def test_each_form_of_a_metric_gives_what_its_lines_say(tmp_path: Path, lines: str) -> None:
    """Files of the usual form are read at once, others line by line; here each line is taken by itself."""
    (tmp_path / "loss").write_text(lines)
    rows = [line.split() for line in lines.splitlines() if line]
    by_step: dict[int, tuple[int, int, float]] = {}
    for timestamp, value, *step in rows:
        point = int(step[0]) if step else 0, int(timestamp), float(value)
        by_step[point[0]] = max(point, by_step.get(point[0], point))
    expected = [by_step[step] for step in sorted(by_step)]
    assert repr([tuple(point) for point in _points(str(tmp_path / "loss"))]) == repr(expected)  # NaN equals no NaN


@given(
    st.lists(
        st.tuples(st.integers(0), st.dictionaries(st.text(max_size=8), st.floats(), max_size=3), st.floats(-1e9, 1e9)),
        max_size=3,
    )
)
def test_lines_of_single_values_are_those_of_any_curve(points: list[tuple[int, dict[str, float], float]]) -> None:
    expected = [
        strict_json.dumps(
            curve_line(step, {name: (x, None, 1) for name, x in values.items()}, None, {"wall_time_s": time_s})
        )
        for step, values, time_s in points
    ]
    assert lines_of_values(points) == "".join(line + "\n" for line in expected)


@pytest.mark.parametrize(
    ("text", "value"),
    [("8", 8), ("-3", -3), ("0", 0), ("0.001", 0.001), ("1e-05", 1e-5), ("1e-3", 1e-3), ("3E4", 3e4), ("-0.5", -0.5)]
    + [("1.0", 1.0), ("True", True), ("False", False), ("None", None)]
    + [(text, text) for text in ("1.10", "007", "+1", "1_000", "", " 1", "nan", "inf", "1e400", "0x10", "1.", ".5")]
    + [(text, text) for text in ("0.12345678901234567891", "9" * 30, "true", "(1, 2)", "٣")],
)
def test_a_text_becomes_a_number_only_if_nothing_is_lost(text: str, value: object) -> None:
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


@given(st.one_of(st.integers(-(2**63) + 1, 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_numbers_that_python_printed_come_back_exactly(value: float) -> None:
    found = value_of(str(value))
    assert (found, type(found)) == (value, type(value))


def test_other_directories_are_refused_with_what_to_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "mlruns").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"holds no file store of MLflow.*Try its directory mlruns.*mlflow.db"):
        import_mlruns(tmp_path / "project", tmp_path / "runs")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"needs PyYAML.*not installed. Try: pip install 'pyml-core\[mlflow\]'"):
        import_mlruns(STORE, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_experiment_can_be_imported_by_its_directory(tmp_path: Path) -> None:
    (other,) = [path.parent for path in STORE.glob("*/meta.yaml") if "name: other" in path.read_text()]
    assert len(import_mlruns(other, tmp_path).new) == 1
