"""A feature space: the hidden layer of a network whose weights are in a file of yours."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from core.config.config import ModelConfig
from core.config.errors import ConfigError

VARIABLE = "PYML_SHAPES_WEIGHTS"


class HiddenLayer:
    """Called with images, returns one vector per image. A DINO or Inception network is used in the same way.

    Args:
        config: The run's config.
        device: Device of the images.

    Attributes:
        protocol: What the protocol of a distance says besides the name and version of the plugin. Distances by other
            weights are then not compared by mistake.
    """

    def __init__(self, config: ModelConfig, device: torch.device) -> None:
        path = Path(os.environ.get(VARIABLE, ""))
        if not path.is_file():
            raise ConfigError(f"features 'hidden_layer': set {VARIABLE} to the file of the weights, got {str(path)!r}.")
        self.protocol: Mapping[str, str] = {"weights": hashlib.sha256(path.read_bytes()).hexdigest()[:16]}
        channels = (config.data_shape or (1,))[0]
        self.network = nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.network.load_state_dict(torch.load(path, weights_only=True))
        self.network.to(device).eval()

    def __call__(self, images: Tensor) -> Tensor:
        """Return features of shape ``(n, 32)``; the images are float32, scaled to [-1, 1]."""
        features: Tensor = self.network(images)
        return features
