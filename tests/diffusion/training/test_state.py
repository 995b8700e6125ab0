"""The state of training: what it counts, and that a resume reads its checkpoint once."""

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from core.diffusion.data_fields import completed_from_data
from core.diffusion.datasets.base import TRAIN, Batches, load_data
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.train import train_diffusion_model, train_epoch
from core.diffusion.training.checkpoints import load_checkpoint
from core.diffusion.training.state import TrainingState
from core.runs import session

CPU = torch.device("cpu")


def new_state(config: MLPConfig) -> tuple[TrainingState, Batches]:
    data = load_data(config, TRAIN)
    config, _ = completed_from_data(config, data)
    return TrainingState(config, MLP(config), CPU, len(data)), Batches(data, CPU)


def test_images_seen_are_counted_within_and_between_epochs(tiny: MLPConfig, tmp_path: Path) -> None:
    state, batches = new_state(tiny)
    seen: list[int] = [state.n_images_seen]
    for _ in range(2):
        train_epoch(state, batches, lambda: seen.append(state.n_images_seen))
        seen.append(state.n_images_seen)
    epoch = [500, 1000, 1438, 1438]  # three batches, then the end of the epoch
    assert seen == [0, *epoch, *(1438 + n for n in epoch)]
    state.save(tmp_path)
    restored, _ = new_state(tiny)
    restored.restore(load_checkpoint(tmp_path, tiny))
    assert restored.n_images_seen == 2 * 1438


def test_an_older_checkpoint_that_kept_the_count_between_epochs_is_counted_right(
    tiny: MLPConfig, tmp_path: Path
) -> None:
    state, batches = new_state(tiny)
    train_epoch(state, batches, lambda: None)
    state.save(tmp_path)
    checkpoint = load_checkpoint(tmp_path, tiny)
    checkpoint.state["n_seen"] = 1438
    restored, _ = new_state(tiny)
    restored.restore(checkpoint)
    assert restored.n_images_seen == 1438


def test_a_resume_reads_the_checkpoint_once_builds_the_model_once_and_saves_the_config_once(
    tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_diffusion_model(attrs.evolve(tiny, n_epochs=1), tmp_path, device="cpu")
    calls: list[str] = []

    def counted(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            calls.append(name)
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, call)

    counted(torch, "load")
    counted(session, "save_config")
    counted(MLP, "__init__")
    train_diffusion_model(attrs.evolve(tiny, n_epochs=2), tmp_path, device="cpu", resume=tmp_path)
    assert sorted(calls) == ["__init__", "load", "save_config"]


def test_data_that_cannot_be_loaded_leave_the_run_directory_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data_dir is not given"):
        train_diffusion_model(MLPConfig(model="mlp", dataset="folder"), tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []
