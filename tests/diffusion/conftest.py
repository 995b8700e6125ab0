"""Runs small enough to train in a test."""

from pathlib import Path

import attrs
import pytest

from core.config.config import ModelConfig
from core.diffusion.configs import MLPConfig
from core.diffusion.train import train_diffusion_model

TINY = MLPConfig(
    model="mlp",
    n_epochs=4,
    batch_size=500,
    hidden_layer_sizes=(32, 32),
    embedding_size=16,
    dropout=0.1,
    warmup_steps=4,
    checkpoint_every_epochs=2,
    n_steps=3,
    n_samples=60,
)


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
    return attrs.evolve(TINY, data_shape=(1, 8, 8), n_classes=10, sigma_data=0.753)
