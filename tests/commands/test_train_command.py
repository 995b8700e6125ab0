"""The command train: several seeds, what scripts read from it, and what a mistake leaves behind."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.commands.train import train
from core.diffusion.models.mlp import MLP
from core.runs.directory import run_ids
from core.runs.status import run_status
from core.utils.signals import RunInterrupted

Invoke = Callable[..., tuple[int, str, str]]
SMALL = ["--model", "mlp", "--hidden-layer-sizes", "8", "--n-epochs", "2", "--n-samples", "0"]


@pytest.fixture
def invoke(experiments: Path, run_command: Invoke) -> Invoke:
    return lambda *arguments: run_command(train, *arguments)


def test_print_run_prints_the_path_alone_on_stdout(invoke: Invoke, experiments: Path) -> None:
    code, out, err = invoke("--print-run")
    (run_id,) = run_ids(experiments)
    assert (code, out) == (0, f"{experiments / run_id}\n")
    assert "Done." in err


def test_quiet_prints_nothing(invoke: Invoke, experiments: Path) -> None:
    assert invoke("--quiet") == (0, "", "")
    code, out, err = invoke("--quiet", "--print-run")
    assert (code, err) == (0, "")
    assert Path(out.rstrip("\n")).is_dir()


@pytest.mark.parametrize(("seeds", "expected"), [("0..2", [0, 1, 2]), ("7,3", [7, 3]), ("5", [5])])
def test_seeds_train_one_run_each(invoke: Invoke, experiments: Path, seeds: str, expected: list[int]) -> None:
    code, out, _ = invoke("--seeds", seeds, "--print-run", "--quiet")
    paths = [Path(line) for line in out.splitlines()]
    assert code == 0
    assert [json.loads((path / "config.json").read_text())["config"]["seed"] for path in paths] == expected
    assert sorted(path.name for path in paths) == run_ids(experiments)


@pytest.mark.parametrize("seeds", ["", "4..0", "a..b", "1,1", "-1..2", "0..", "1.5"])
def test_seeds_that_are_none_are_refused_before_anything_is_made(invoke: Invoke, experiments: Path, seeds: str) -> None:
    code, _, err = invoke("--seeds", seeds)
    assert code == 2
    assert f"--seeds: got {seeds!r}; accepted: A..B with A <= B" in err
    assert not experiments.exists()


@pytest.mark.parametrize(("other", "named"), [(["--seed", "3"], "--seed"), (["--resume", "latest"], "--resume")])
def test_seeds_beside_one_seed_or_a_resumed_run_are_wrong_usage(
    invoke: Invoke, experiments: Path, other: list[str], named: str
) -> None:
    invoke()
    before = run_ids(experiments)
    code, _, err = invoke("--seeds", "0..4", *other)
    assert code == 2
    assert f"--seeds cannot be combined with {named}." in err
    assert run_ids(experiments) == before


@pytest.mark.parametrize(("is_checkpointed", "rest"), [(True, "5,1"), (False, "7,5,1")])
def test_what_interrupts_one_of_several_seeds_names_those_still_to_do(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, is_checkpointed: bool, rest: str
) -> None:
    from core.diffusion import train as trainer

    real = trainer.train_diffusion_model

    def stopped_at_seven(config: Any, run_path: Path, **options: Any) -> Any:
        if config.seed != 7:
            return real(config, run_path, **options)
        if is_checkpointed:
            (run_path / "checkpoints").mkdir()
            (run_path / "checkpoints" / "last.pt").touch()
        raise RunInterrupted("interrupted by Ctrl-C")

    monkeypatch.setattr(trainer, "train_diffusion_model", stopped_at_seven)
    code, _, err = invoke("--seeds", "3,7,5,1", "--quiet")
    assert code == 130
    assert err.endswith(f" Seeds still to do: --seeds {rest}\n")
    assert ("Continue with: pyml-train --resume" in err) == is_checkpointed


def test_a_signal_after_the_last_step_starts_no_other_seed(
    invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.diffusion import train as trainer

    real = trainer.train_diffusion_model

    def stopped_late(*arguments: Any, **options: Any) -> Any:
        model = real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGTERM)
        return model

    monkeypatch.setattr(trainer, "train_diffusion_model", stopped_late)
    code, _, err = invoke("--seeds", "3,7,5", "--quiet")
    assert code == 143
    assert err == "Stopped: interrupted by SIGTERM. The training had finished. Seeds still to do: --seeds 7,5\n"
    (run_id,) = run_ids(experiments)
    assert run_status(experiments / run_id).state == "finished"


def test_a_gpu_without_enough_memory_ends_the_run_with_advice(
    invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 60.00 MiB.")

    monkeypatch.setattr(MLP, "loss", too_large)
    code, _, err = invoke(*SMALL)
    assert code == 1
    assert "CUDA out of memory. Tried to allocate 60.00 MiB. (Try --accumulate 2" in err
    assert [run_status(experiments / run_id).state for run_id in run_ids(experiments)] == ["failed"]


def test_a_seed_that_fails_costs_the_others_nothing(
    invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.diffusion import train as trainer
    from core.diffusion.training.curve import TrainingDivergedError

    real = trainer.train_diffusion_model

    def diverging(config, run_path, **kwargs):  # type: ignore[no-untyped-def]
        if config.seed == 1:
            kwargs["started"](None)
            raise TrainingDivergedError("the loss is not finite at step 3")
        return real(config, run_path, **kwargs)

    monkeypatch.setattr(trainer, "train_diffusion_model", diverging)
    code, out, err = invoke("--seeds", "0..2", "--quiet", "--print-run")
    assert code == 1
    assert "Error: seed 1: the loss is not finite at step 3" in err
    assert "1 of 3 runs failed: seeds 1" in err
    assert len(out.splitlines()) == 3


def test_a_run_that_is_resumed_and_was_finished_is_named(invoke: Invoke, experiments: Path) -> None:
    _, path, _ = invoke(*SMALL, "--quiet", "--print-run")
    assert invoke("--resume", "latest", "--quiet", "--print-run") == (0, path, "")


def test_what_is_printed_beside_a_progress_bar_goes_to_stdout() -> None:
    program = (
        "from core.commands.progress_bar import reporting\nfrom core.utils.output import say\n"
        "with reporting() as progress:\n    say('a message', err=True)\n    progress(1, 2, 'text')\n"
        "    say('the path of the run')"
    )
    terminal, other_end = pty.openpty()
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=other_end, check=True)
    os.close(other_end)
    shown = os.read(terminal, 100_000)
    os.close(terminal)
    assert done.stdout == b"the path of the run\n"
    assert shown.startswith(b"a message\r\n")  # and not in the middle of a bar that has nothing to show yet


def test_the_loss_of_the_last_epoch_is_printed(invoke: Invoke, experiments: Path) -> None:
    _, _, err = invoke(*SMALL)
    (run_id,) = run_ids(experiments)
    last = json.loads((experiments / run_id / "metrics.jsonl").read_text().splitlines()[-1])
    assert f"epoch 2, loss {last['measures']['loss']['mean']:.3f}" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "mlp", "--dataset", "folder", "--data-dir", "/typo"], "data_dir: /typo is not a directory."),
        (["--dataset", "folder", "--data-dir", "/typo"], "data_dir: /typo is not a directory."),
        (["--dataset", "folder"], "data set 'folder': data_dir is not given. Try: --data-dir DIRECTORY."),
        (["--model", "mlp", "--dataset", "folder", "--dry-run"], "data set 'folder': data_dir is not given."),
        (
            ["--data-dir", "."],
            "data_dir: got '.', but data set 'digits' reads no directory. Leave data_dir out, or try",
        ),
        (["--model", "unet", "--channel-multipliers", "1,2,2,2,2"], "channel_multipliers"),
        (["--seed", "-1"], "--seed: got '-1'; accepted: an integer"),
        (["--learning-rate", "high"], "--learning-rate: got 'high'; accepted: a finite number"),
        (["--model", "mlpp"], "Did you mean 'mlp'?"),
    ],
)
def test_a_mistyped_option_leaves_no_run(invoke: Invoke, experiments: Path, arguments: list[str], message: str) -> None:
    code, out, err = invoke(*arguments)
    assert code == 2
    assert message in err
    assert run_ids(experiments) == []
    assert "Run " not in out


def test_mnist_gets_what_suits_it_unless_the_user_or_an_earlier_run_says_otherwise(
    invoke: Invoke, experiments: Path, tmp_path: Path
) -> None:
    def asked_for(*arguments: str) -> dict[str, Any]:
        code, out, _ = invoke("--dry-run", *arguments)
        assert code == 0
        fields: dict[str, Any] = json.loads(out)
        return fields

    plain = asked_for("--model", "unet")
    suggested = asked_for("--model", "unet", "--dataset", "mnist5k", "--n-epochs", "7")
    assert (plain["patch_size"], suggested["patch_size"], suggested["n_epochs"]) == (1, 2, 7)
    family = asked_for("--model", "mlp", "--family", "meanflow", "--logit-mean", "0")
    assert (plain["sampler"], family["sampler"], family["logit_mean"]) == ("heun", "meanflow", 0.0)
    assert (plain["n_steps"], family["n_steps"]) == (18, 1)
    older = {"schema": "pyml.config/1", "config": {"model": "unet", "dataset": "mnist5k"}, "plugins": {}}
    (tmp_path / "config.json").write_text(json.dumps({**older, "found_in_data": []}))
    assert asked_for("--config", str(tmp_path / "config.json"))["patch_size"] == 1


def test_two_config_files_are_wrong_usage(invoke: Invoke, tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text("seed = 1")
    code, _, err = invoke("--config", "a.toml", "--config=b.toml")
    assert code == 2
    assert "--config was given more than once: a.toml, b.toml." in err


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&- <&-"])
def test_closed_streams_cost_a_run_nothing(tmp_path: Path, closed: str) -> None:
    command = f"{sys.executable} -m core train --model identity --experiments-dir {tmp_path} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (run_id,) = run_ids(tmp_path)
    for path in (tmp_path / run_id).rglob("*.json*"):
        assert "Run " not in path.read_text()
        assert "meter engine" not in path.read_text()  # no message was written into a file


def test_an_error_is_told_on_stdout_where_stderr_is_closed(tmp_path: Path) -> None:
    command = f"{sys.executable} -m core train --model none --experiments-dir {tmp_path} 2>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown model 'none'" in done.stdout


def test_what_interrupts_a_run_names_the_command_that_continues_it(
    invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.diffusion import train as trainer

    real = trainer.add_to_curve

    def interrupted(*arguments: Any, **rates: float) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **rates)

    monkeypatch.setattr(trainer, "add_to_curve", interrupted)
    code, _, err = invoke(*SMALL, "--experiments-dir", "runs")
    (run_id,) = run_ids(experiments)
    assert code == 130
    found = re.search(r"Stopped: interrupted by Ctrl-C. Continue with: pyml-train --resume (\S+)$", err.rstrip())
    assert found is not None, err
    assert found[1] == f"runs/{run_id}"
