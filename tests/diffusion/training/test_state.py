"""The state of training: what it counts, and that a resume reads its checkpoint once."""

import random
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from core.diffusion.data_fields import completed_from_data
from core.diffusion.datasets.base import TRAIN, Batches, ImageData, load_data
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.checkpoints import load_checkpoint
from core.diffusion.training.epoch import train_epoch
from core.diffusion.training.random_state import seeded
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


class Cropped:
    """A data set that draws from torch's, NumPy's and Python's global generators for each image."""

    def __init__(self, data: ImageData) -> None:
        self.data_shape, self.n_classes = data.data_shape, data.n_classes
        self.drawn: list[tuple[float, float, float]] = []
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        self.drawn.append((float(torch.rand(())), np.random.random(), random.random()))
        return self._data[index]


def orders_and_sigmas(config: MLPConfig, data: Any) -> list[torch.Tensor]:
    """Return the order of the images and the noise levels of two epochs."""
    config, _ = completed_from_data(config, data)
    with seeded(3, CPU):
        state = TrainingState(config, MLP(config), CPU, len(data))
        batches, found = Batches(data, CPU), []
        add = state.measures.add
        state.measures.add = lambda step, losses, sigma, norm: (found.append(sigma), add(step, losses, sigma, norm))
        for _ in range(2):
            train_epoch(state, batches, lambda: found.append(state.order.clone()))
    return found


def test_dropout_and_draws_of_the_data_set_change_neither_order_nor_noise(tiny: MLPConfig) -> None:
    data = load_data(tiny, TRAIN)
    plain = orders_and_sigmas(attrs.evolve(tiny, dropout=0.0), data)
    assert len(plain) == 2 * 2 * 3
    for others in (orders_and_sigmas(tiny, data), orders_and_sigmas(tiny, Cropped(data))):
        assert all(torch.equal(one, other) for one, other in zip(plain, others, strict=True))


def test_a_data_set_draws_other_numbers_in_each_step(tiny: MLPConfig) -> None:
    data = Cropped(load_data(tiny, TRAIN))
    orders_and_sigmas(tiny, data)
    drawn = data.drawn[-2 * len(data) :]
    assert len(drawn) == 2 * 1438
    for numbers in zip(*drawn, strict=True):
        assert len(set(numbers)) > 0.999 * len(drawn)  # torch's have 24 bits: a few of 2,876 may be equal
