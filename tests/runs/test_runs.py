"""Run directories: made once, found again, and honest about how they ended."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.config import ConfigError, GlobalConfig, ModelConfig
from core.runs import status as statuses
from core.runs.directory import RUN_ID, resolve_run, run_ids
from core.runs.environment import describe_environment, save_environment
from core.runs.status import RunStatus, run_status
from core.utils.signals import RunInterrupted, StopSignals
from core.utils.utils import create_experiment_subdir, generate_run_id, save_config_to_json

IDS = ["20260101T000000000001Z_aaaaaa", "20260101T000000000002Z_bbbbbb", "20260202T000000000000Z_000000"]


def status(run_path: Path) -> dict[str, object]:
    content = json.loads((run_path / "status.json").read_text())
    assert isinstance(content, dict)
    return content


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    for run_id in IDS:
        (tmp_path / run_id).mkdir()
        (tmp_path / run_id / "config.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    (tmp_path / "20270101T000000000000Z_ffffff").write_text("a file, not a run")
    return tmp_path


def test_a_run_id_is_utc_time_and_a_unique_part_and_sorts() -> None:
    before = datetime.now(UTC)
    ids = [generate_run_id() for _ in range(100)]
    assert all(RUN_ID.fullmatch(run_id) for run_id in ids)
    assert len(set(ids)) == 100
    assert [run_id[:22] for run_id in ids] == sorted(run_id[:22] for run_id in ids)
    assert datetime.strptime(ids[0][:22], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC) >= before


def test_a_run_directory_is_made_once(tmp_path: Path) -> None:
    where = GlobalConfig(experiments_dir=tmp_path / "deep" / "down")
    run_path = create_experiment_subdir(where, IDS[0])
    assert run_path.is_dir()
    (run_path / "precious").write_text("x")
    with pytest.raises(ConfigError, match=r"aaaaaa exists already"):
        create_experiment_subdir(where, IDS[0])
    assert (run_path / "precious").read_text() == "x"


def test_an_experiments_directory_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/below cannot be written .*--experiments-dir, PYML_EXPERIMENTS_DIR"):
        create_experiment_subdir(GlobalConfig(experiments_dir=tmp_path / "file" / "below"), IDS[0])


def test_a_config_is_saved_with_the_plugins_that_served_it(tmp_path: Path) -> None:
    plugin = {"name": "mlp", "distribution": "pyml-core", "version": "1"}
    content = json.loads(save_config_to_json(ModelConfig(seed=5), tmp_path, {"model": plugin}).read_text())
    assert content["schema"] == "pyml.config/1"
    assert content["config"]["seed"] == 5
    assert content["plugins"]["model"] == plugin


def test_a_run_is_found_by_path_id_unique_prefix_and_latest(experiments: Path) -> None:
    assert run_ids(experiments) == IDS
    assert resolve_run("latest", experiments) == experiments / IDS[2]
    assert resolve_run(IDS[0], experiments) == experiments / IDS[0]
    assert resolve_run("202602", experiments) == experiments / IDS[2]
    (experiments / IDS[1] / "config.json").write_text("{}")
    assert resolve_run(str(experiments / IDS[1]), Path("nowhere")) == experiments / IDS[1]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("202601", r"run '202601' is ambiguous: 2 runs begin with it \(20260101T000000000001Z_aaaaaa, "),
        ("20260101T000000000001Z_aaaaab", r"no run .* \(3 runs\).* Did you mean '20260101T000000000001Z_aaaaaa'"),
        ("", r"no run ''"),
    ],
)
def test_a_name_that_no_run_or_several_answer_to_is_refused(experiments: Path, spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_run(spec, experiments)


def test_latest_of_nothing_names_the_command_to_try(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no run yet\. Try: pyml-train"):
        resolve_run("latest", tmp_path / "none")


def test_a_run_that_works_is_running_then_finished(tmp_path: Path) -> None:
    with RunStatus(tmp_path) as running:
        assert status(tmp_path)["state"] == "running"
        assert status(tmp_path)["pid"] == os.getpid()
        running.progress(3, 10)
    assert run_status(tmp_path).state == "finished"
    assert (status(tmp_path)["step"], status(tmp_path)["n_steps_total"]) == (3, 10)


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (ValueError("loss is NaN at step 7"), "failed", "ValueError: loss is NaN at step 7"),
        (KeyboardInterrupt(), "interrupted", "Ctrl-C"),
        (RunInterrupted("interrupted by SIGTERM", 143), "interrupted", "interrupted by SIGTERM"),
    ],
)
def test_a_run_that_ends_early_says_how(tmp_path: Path, error: BaseException, state: str, reason: str) -> None:
    def work() -> None:
        with RunStatus(tmp_path):
            raise error

    with pytest.raises(type(error)):
        work()
    assert (run_status(tmp_path).state, run_status(tmp_path).reason) == (state, reason)
    assert status(tmp_path)["finished_at"] is not None


def test_the_heart_beats_while_a_step_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "HEARTBEAT_EVERY_S", 0.001)
    with RunStatus(tmp_path) as running:
        first = status(tmp_path)["heartbeat_at"]
        running.progress(1, 2)
        deadline = datetime.now(UTC).timestamp() + 60
        while status(tmp_path)["heartbeat_at"] == first:
            assert datetime.now(UTC).timestamp() < deadline, "no heartbeat within a minute"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_status_that_cannot_be_read_is_unknown(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    assert run_status(tmp_path).state == "unknown"
    assert run_status(tmp_path / "nowhere").state == "unknown"


def test_the_environment_says_what_a_rerun_needs(tmp_path: Path) -> None:
    save_environment(tmp_path, device="cpu")
    content = json.loads((tmp_path / "environment.json").read_text())
    assert content["python"] == ".".join(map(str, sys.version_info[:3]))
    assert content["packages"]["attrs"]
    assert content["device"] == "cpu"
    assert {"host", "platform", "torch", "git_commit", "git_dirty", "command"} <= set(content)


def test_the_commit_and_whether_it_was_changed_are_those_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q"], check=True)
    (tmp_path / "file").write_text("x")
    subprocess.run(["git", "add", "file"], check=True)
    subprocess.run(["git", *identity, "commit", "-q", "-m", "x"], check=True)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "run").write_text("not tracked")
    clean = describe_environment()
    (tmp_path / "file").write_text("y")
    assert re.fullmatch("[0-9a-f]{40}", clean["git_commit"])
    assert clean["git_dirty"] is False
    assert describe_environment()["git_dirty"] is True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_first_signal_is_a_request_and_a_second_one_stops_at_once(number: int, code: int) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert signals.requested() is None
        signal.raise_signal(number)
        request = signals.requested()
        assert request is not None
        assert request.exit_code == code
        with pytest.raises(RunInterrupted, match="interrupted by"):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_signal_stops_undeferred_work_at_once() -> None:
    with StopSignals(deferred=False), pytest.raises(RunInterrupted, match="interrupted by Ctrl-C"):
        signal.raise_signal(signal.SIGINT)


def test_latest_skips_directories_of_runs_that_never_began(tmp_path: Path) -> None:
    ids = [f"20260101T00000000000{n}Z_aaaaa{n}" for n in range(3)]
    for run_id in ids:
        (tmp_path / run_id).mkdir()
    with pytest.raises(ConfigError, match="holds no run yet"):
        resolve_run("latest", tmp_path)
    (tmp_path / ids[1] / "config.json").write_text("{}")
    assert resolve_run("latest", tmp_path) == tmp_path / ids[1]
    (tmp_path / ids[2] / "status.json").write_text("{}")  # killed before its config
    assert resolve_run("latest", tmp_path) == tmp_path / ids[1]
