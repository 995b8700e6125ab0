"""A model's own config: another model's is refused, never replaced by defaults."""

from typing import Any

import pytest

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.models.configs import MLPConfig, UNetConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.models.unet import UNet

FOUND: dict[str, Any] = {"data_shape": (1, 8, 8), "n_classes": 10, "sigma_data": 0.5}


@pytest.mark.parametrize(
    ("model", "config", "message"),
    [
        (MLP, ModelConfig(**FOUND), "model 'mlp': got a ModelConfig; accepted: MLPConfig"),
        (MLP, UNetConfig(**FOUND), "model 'mlp': got a UNetConfig; accepted: MLPConfig"),
        (UNet, ModelConfig(**FOUND), "model 'unet': got a ModelConfig; accepted: UNetConfig"),
        (UNet, MLPConfig(**FOUND), "model 'unet': got a MLPConfig; accepted: UNetConfig"),
    ],
)
def test_a_model_refuses_a_config_of_another_class(model: Any, config: ModelConfig, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        model(config)


def test_another_models_config_is_refused_before_its_fields_are_lost() -> None:
    with pytest.raises(ConfigError, match="model 'mlp': got a UNetConfig, the config of another model"):
        plugins.with_own_fields(UNetConfig(model="mlp", channels=64))
