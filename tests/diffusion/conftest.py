"""Runs small enough to train in a test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from small_configs import TINY
from threadpoolctl import threadpool_limits

from core.config.config import ModelConfig
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.checkpoints import checkpoint_path
from core.runs.files import read_json_lines

# Tests run side by side; on tiny tensors threads that wait for each other cost 50 times the work.
torch.set_num_threads(1)
threadpool_limits(1)


@pytest.fixture
def tiny() -> MLPConfig:
    """A config whose training takes 12 steps."""
    return TINY


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished tiny run; tests read it and leave it as it is."""
    path = tmp_path_factory.mktemp("trained")
    train_diffusion_model(TINY, path, device="cpu")
    return path


@pytest.fixture
def trained_config(trained_run: Path) -> ModelConfig:
    """The config as the finished tiny run saved it."""
    found = json.loads((trained_run / "config.json").read_text())["config"]["data_fingerprint"]
    return attrs.evolve(TINY, data_shape=(1, 8, 8), n_classes=10, sigma_data=0.847, data_fingerprint=found)


def _curve(run_path: Path) -> dict[int, dict[str, Any]]:
    rows, faults = read_json_lines(run_path / "metrics.jsonl")
    assert not faults
    return {row["step"]: {key: row[key] for key in row if not key.endswith(("_s", "_at"))} for row in rows}


def _assert_same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            _assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for item, twin in zip(one, other, strict=True):
            _assert_same(item, twin)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype
    else:
        assert one == other


@pytest.fixture(scope="session")
def curve() -> Callable[[Path], dict[int, dict[str, Any]]]:
    """Reads a run's training curve, the last line per step, without its times."""
    return _curve


@pytest.fixture(scope="session")
def assert_same_run() -> Callable[[Path, Path], None]:
    """Holds two runs' weights, averages, optimisers, random states, meters, curves and last pictures equal."""

    def hold(one: Path, other: Path) -> None:
        _assert_same(*(torch.load(checkpoint_path(path), weights_only=True) for path in (one, other)))
        assert _curve(one) == _curve(other)
        last = [max((path / "samples").glob("step-*.png")) for path in (one, other)]
        assert last[0].name == last[1].name
        assert last[0].read_bytes() == last[1].read_bytes()

    return hold
