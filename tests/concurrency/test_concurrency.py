"""Many processes at once: no run, record or line is lost or torn, and readers never see half of anything.

The tests are small; ``PYML_RELIABILITY=all`` (``make reliability``) runs them with the numbers in docs/reliability.md.
"""

import errno
import fcntl
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from work import append, forked, read_runs_until, read_until, start_run

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.training.checkpoints import KEYS, load_checkpoint, save_checkpoint
from core.runs import Run
from core.runs.directory import run_ids
from core.runs.result_log import read_result_log
from results.database import ResultsDatabase

ALL = os.environ.get("PYML_RELIABILITY") == "all"
N_STARTS, N_WRITERS, N_APPENDS = (64, 16, 200) if ALL else (6, 4, 25)
N_RUNS = int(os.environ.get("PYML_RELIABILITY_RUNS", "10000")) if ALL else 8
N_SAVES = 500 if ALL else 30

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def test_runs_that_start_at_once_are_all_whole(tmp_path: Path) -> None:
    codes = forked([functools.partial(start_run, tmp_path / "new" / "place", seed) for seed in range(N_STARTS)])
    assert codes == [0] * N_STARTS
    database = ResultsDatabase(tmp_path / "new" / "place").read()
    assert len(database) == len({run.config["seed"] for run in database}) == N_STARTS
    assert {run.status.state for run in database} == {"finished"}
    assert database.faults == []


def test_records_appended_at_once_are_all_there_and_readers_never_see_one_torn(tmp_path: Path) -> None:
    total = N_WRITERS * N_APPENDS
    writers = [functools.partial(append, tmp_path, writer, N_APPENDS) for writer in range(N_WRITERS)]
    readers = 2 * [functools.partial(read_until, tmp_path, total)]
    assert set(forked([*writers, *readers])) == {0}
    log = read_result_log(tmp_path)
    assert len({entry.record.metadata.name for entry in log.entries}) == total
    assert log.faults == ()


def test_runs_are_read_while_many_are_being_written(tmp_path: Path) -> None:
    each = N_RUNS // 4

    def write() -> None:
        for seed in range(each):
            start_run(tmp_path, seed)

    assert forked([write] * 4 + [functools.partial(read_runs_until, tmp_path, 4 * each)]) == [0] * 5
    assert len(run_ids(tmp_path)) == 4 * each


def test_a_checkpoint_is_read_whole_while_training_replaces_it(tmp_path: Path) -> None:
    config = ModelConfig(model="mlp")

    def state(step: int) -> dict[str, object]:
        fields: dict[str, object] = dict.fromkeys(KEYS - {"schema"})
        return {**fields, "model": "mlp", "step": step, "weights": {"w": torch.full((20_000,), float(step))}}

    def train() -> None:
        for step in range(2, N_SAVES):
            save_checkpoint(tmp_path, state(step))

    def evaluate() -> None:
        step = 0
        while step < N_SAVES - 1:
            read = load_checkpoint(tmp_path, config)
            assert read.step >= step
            assert torch.equal(read.state["weights"]["w"], torch.full((20_000,), float(read.step)))
            step = read.step

    save_checkpoint(tmp_path, state(1))
    assert forked([train, evaluate, evaluate]) == [0, 0, 0]


WITHOUT_LOCKS = """
import errno, fcntl, json, sys
def refuse(*_): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
from core.config.errors import ConfigError
from core.runs import Run
print("ready", flush=True)
sys.stdin.readline()
try:
    with Run.resume(sys.argv[1]) as run:
        print("in", flush=True)
        sys.stdin.readline()
except ConfigError as error:
    print(error, flush=True)
"""


def test_of_processes_that_resume_at_once_without_locks_one_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Run({"seed": 0}, path=tmp_path / "run"):
        pass
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WITHOUT_LOCKS, str(tmp_path / "run")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(16 if ALL else 3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.stdout.readline() for process in processes if process.stdout]
    for process in processes:
        process.communicate("\n")
    assert answers.count("in\n") == 1
    assert all("is training in this run" in answer for answer in answers if answer != "in\n")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"


def test_a_run_that_trains_cannot_be_resumed(tmp_path: Path) -> None:
    with Run({"seed": 0}, path=tmp_path / "run"), pytest.raises(ConfigError, match="another process is training"):
        Run.resume(tmp_path / "run").start()
