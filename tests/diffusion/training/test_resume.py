"""A run that was killed in mid-step, or while it wrote a checkpoint, goes on to the bit."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import torch

from core.config import ConfigError
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.checkpoints import CheckpointError, checkpoint_path
from core.runs.status import RunStatus, run_status

CONFIG = MLPConfig(
    model="mlp",
    n_epochs=200,  # of 10 steps each
    batch_size=144,
    hidden_layer_sizes=(8,),
    embedding_size=8,
    dropout=0.2,
    checkpoint_every_epochs=30,
    n_steps=2,
)

KILLED_AT_STEP_1000 = """
import json, os, signal, sys, torch
torch.set_num_threads(1)
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model

config = MLPConfig(**json.loads(sys.argv[2]))

def kill_at_1000(step, n_steps_total, words):
    if step == 1000:
        os.kill(os.getpid(), signal.SIGKILL)

train_diffusion_model(config, sys.argv[1], device="cpu", progress=kill_at_1000)
"""

KILLED_WHILE_SAVING_STEP_900 = """
import io, json, os, signal, sys, torch
torch.set_num_threads(1)
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model

config = MLPConfig(**json.loads(sys.argv[2]))
save = torch.save

def save_half(state, file):
    if state["step"] < 900:
        return save(state, file)
    whole = io.BytesIO()
    save(state, whole)
    file.write(whole.getvalue()[: whole.tell() // 2])
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

torch.save = save_half
train_diffusion_model(config, sys.argv[1], device="cpu")
"""


@pytest.fixture(scope="module")
def straight_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("straight")
    train_diffusion_model(CONFIG, path, device="cpu")
    return path


@pytest.mark.parametrize(
    ("program", "checkpoint_step"), [(KILLED_AT_STEP_1000, 900), (KILLED_WHILE_SAVING_STEP_900, 600)]
)
def test_a_killed_run_resumed_to_2000_steps_equals_2000_straight(
    program: str,
    checkpoint_step: int,
    straight_run: Path,
    tmp_path: Path,
    assert_same_run: Callable[[Path, Path], None],
) -> None:
    command = [sys.executable, "-c", program, str(tmp_path), json.dumps(attrs.asdict(CONFIG))]
    killed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run_status(tmp_path).state == "dead"  # nobody was left to say so; status.json still says running
    assert torch.load(checkpoint_path(tmp_path), weights_only=True)["step"] == checkpoint_step
    train_diffusion_model(CONFIG, tmp_path, device="cpu", resume=tmp_path)
    assert_same_run(tmp_path, straight_run)
    assert run_status(tmp_path).state == "finished"


def everything(run_path: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("n_epochs", [CONFIG.n_epochs, 100])
def test_a_run_that_has_done_its_epochs_stays_as_it_is(straight_run: Path, n_epochs: int) -> None:
    before = everything(straight_run)
    config = attrs.evolve(CONFIG, n_epochs=n_epochs)
    model = train_diffusion_model(config, straight_run, device="cpu", resume=straight_run)
    assert everything(straight_run) == before
    saved = torch.load(checkpoint_path(straight_run), weights_only=True)["ema"]
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_a_checkpoint_that_does_not_fit_costs_a_finished_run_nothing(straight_run: Path) -> None:
    before = everything(straight_run)
    config = attrs.evolve(CONFIG, hidden_layer_sizes=(7,), n_epochs=10_000)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        train_diffusion_model(config, straight_run, device="cpu", resume=straight_run)
    assert everything(straight_run) == before


def test_two_processes_cannot_train_in_one_run(tmp_path: Path) -> None:
    with RunStatus(tmp_path), pytest.raises(ConfigError, match="another process is training in this run"):
        RunStatus(tmp_path).__enter__()
    with RunStatus(tmp_path):
        assert run_status(tmp_path).state == "running"
