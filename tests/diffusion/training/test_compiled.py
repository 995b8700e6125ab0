"""Training with torch.compile, here by a backend that needs no C++ compiler."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from core.commands.train import train
from core.config.errors import ConfigError
from core.diffusion.datasets.base import TRAIN, Batches, load_data
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.train import completed_from_data, train_diffusion_model
from core.diffusion.training import compiled
from core.diffusion.training.checkpoints import checkpoint_path
from core.diffusion.training.compiled import compile_model
from core.diffusion.training.state import TrainingState
from core.runs.metrics import read_curve
from core.utils.signals import RunInterrupted

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compile with a backend that runs the captured graph as it is; returns the batch size of each graph's calls."""
    sizes: list[int] = []

    def backend(graph: Any, _inputs: Any) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            sizes.append(1)
            return graph(*arguments)

        return run

    monkeypatch.setattr(compiled, "BACKEND", backend)
    monkeypatch.setattr(compiled, "OPTIONS", {})
    torch._dynamo.reset()
    return sizes


def losses(run_path: Path) -> list[float]:
    return [point.means["loss"] for point in read_curve(run_path)[0]]


def test_compiled_training_gives_the_same_losses_and_a_checkpoint_that_either_continues(
    tiny: MLPConfig, trained_run: Path, tmp_path: Path, calls: list[int]
) -> None:
    stops = iter([*[None] * 6, RunInterrupted("in the third epoch")])
    with pytest.raises(RunInterrupted, match="in the third epoch"):
        train_diffusion_model(attrs.evolve(tiny, compile=True), tmp_path, device="cpu", stop=lambda: next(stops))
    assert len(calls) == 1 + 7, "the trial and each step"
    assert json.loads((tmp_path / "config.json").read_text())["config"]["compile"] is True
    train_diffusion_model(tiny, tmp_path, device="cpu", resume=tmp_path)
    assert len(calls) == 8
    assert losses(tmp_path) == pytest.approx(losses(trained_run), rel=1e-5)
    ours, theirs = (torch.load(checkpoint_path(path), weights_only=True)["ema"] for path in (tmp_path, trained_run))
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-5) for name in ours)


def test_compiling_changes_neither_weights_nor_buffers_nor_random_numbers(tiny: MLPConfig) -> None:
    class WithBatchNorm(MLP):
        def __init__(self, config: MLPConfig) -> None:
            super().__init__(config)
            self.norm = torch.nn.BatchNorm2d(1)

        def network(self, scaled: torch.Tensor, *others: Any) -> torch.Tensor:
            return super().network(self.norm(scaled), *others)

    data = load_data(tiny, TRAIN)
    config, _ = completed_from_data(tiny, data)
    state = TrainingState(config, WithBatchNorm(config), CPU, len(data))
    weights = {name: value.clone() for name, value in state.model.state_dict().items()}
    random = torch.get_rng_state()
    compile_model(state, Batches(data, CPU))
    assert all(torch.equal(value, weights[name]) for name, value in state.model.state_dict().items())
    assert all(parameter.grad is None for parameter in state.parameters)
    assert torch.equal(torch.get_rng_state(), random)


def test_a_model_that_cannot_be_compiled_leaves_no_run(
    experiments: Path, run_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_compiler(_graph: Any, _inputs: Any) -> Any:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(compiled, "BACKEND", without_compiler)
    small = ["--model", "mlp", "--hidden-layer-sizes", "8", "--n-epochs", "1", "--device", "cpu"]
    code, _, err = run_command(train, *small, "--compile")
    assert code == 2
    assert "compile: model 'mlp' could not be compiled" in err
    assert "No working C++ compiler found" in err
    assert "Train without it: --no-compile." in err
    assert list(experiments.iterdir()) == []


def test_an_error_of_the_model_itself_is_not_called_one_of_the_compiler(
    tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> Any:
        raise ZeroDivisionError("in the model")

    monkeypatch.setattr(MLP, "loss", broken)
    with pytest.raises(ZeroDivisionError, match="in the model"):
        train_diffusion_model(attrs.evolve(tiny, compile=True), tmp_path, device="cpu")
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=r"compile: got 1 \(int\); accepted: true or false"):
        attrs.evolve(tiny, compile=1)
