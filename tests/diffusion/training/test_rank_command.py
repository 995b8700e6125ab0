"""The command train under torchrun: what each process prints, and what is refused."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core import cli
from core.commands.sweep import sweep
from core.commands.train import train
from core.runs.directory import run_ids

Invoke = Callable[..., tuple[int, str, str]]
Forked = Callable[[int, Callable[[int], int]], list[int]]
SMALL = ["--model", "mlp", "--hidden-layer-sizes", "8", "--n-epochs", "2", "--n-samples", "0", "--batch-size", "719"]


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Sets the environment variables that torchrun sets."""

    def pretend(rank: int, world_size: int) -> None:
        for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", world_size)):
            monkeypatch.setenv(name, str(value))

    return pretend


def test_two_processes_train_one_run_and_print_once_and_one_process_continues_it(
    experiments: Path, run_command: Invoke, forked: Forked, tmp_path: Path
) -> None:
    def command(rank: int) -> int:
        os.environ["PYML_EXPERIMENTS_DIR"] = str(experiments)
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(tmp_path / f"{name}-{rank}", os.O_WRONLY | os.O_CREAT), descriptor)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        with pytest.raises(SystemExit) as ended:
            cli.run(train, SMALL, name="pyml-train")
        return int(ended.value.code or 0)

    assert forked(2, command) == [0, 0]
    (run_id,) = run_ids(experiments)
    path = experiments / run_id
    first, other = ([(tmp_path / f"{name}-{rank}").read_text() for name in ("out", "err")] for rank in (0, 1))
    assert other == ["", ""]
    assert first[0].startswith(f"Run {path}\n")
    assert first[0].endswith(f"Done. Evaluate it with: pyml-eval {path}\n")
    assert first[1].count("4/4  epoch 2") == 1
    assert json.loads((path / "environment.json").read_text())["world_size"] == 2

    code, out, err = run_command(train, "--resume", run_id, "--n-epochs", "3")
    assert (code, err.count("6/6  epoch 3")) == (0, 1)
    assert "Trained by 2 processes so far, continues with 1 process: the same images and noise" in out
    assert json.loads((path / "environment-2.json").read_text())["world_size"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0..1"], "Under torchrun, start one command for each seed"),
        (["--learning-rat", "1"], "No such option"),
        (["--device", "cuda:3"], "device: got 'cuda:3' for 2 processes on a machine with"),
    ],
)
def test_a_wrong_command_is_reported_by_the_first_process_only(
    run_command: Invoke,
    as_rank: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    as_rank(0, 2)
    code, out, err = run_command(train, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    as_rank(1, 2)
    assert run_command(train, *arguments) == (2, "", "")


def test_a_dry_run_prints_once(run_command: Invoke, as_rank: Callable[[int, int], None]) -> None:
    as_rank(1, 2)
    assert run_command(train, "--dry-run") == (0, "", "")
    as_rank(0, 2)
    assert '"n_epochs"' in run_command(train, "--dry-run")[1]


def test_a_sweep_under_torchrun_is_refused(run_command: Invoke, as_rank: Callable[[int, int], None]) -> None:
    as_rank(0, 2)
    code, _, err = run_command(sweep, "seed=0..1")
    assert code == 2
    assert "a sweep starts its own processes. Start it without torchrun." in err


def test_rank_variables_without_a_launcher_name_torchrun(
    run_command: Invoke, as_rank: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    as_rank(0, 2)
    code, _, err = run_command(train, "--device", "cpu")
    assert code == 2
    assert "RANK and WORLD_SIZE are set, but" in err
    assert "Start with torchrun." in err
