"""A plain convolutional denoiser, in 40 lines."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from core.config.config import ModelConfig
from core.diffusion.model import Denoiser
from pyml_shapes.config import ConvNetConfig


class ConvNet(Denoiser):
    """Convolutions of one width; noise level and class are added to every hidden layer.

    Preconditioning, loss, training, checkpoints, sampling and evaluation come with Denoiser.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        if not isinstance(config, ConvNetConfig):
            raise TypeError(f"model 'convnet': got a {type(config).__name__}; accepted: ConvNetConfig")
        channels = self.data_shape[0]
        widths = [channels] + [config.width] * config.depth
        self.layers = nn.ModuleList(nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in pairwise(widths))
        self.noise = nn.ModuleList(nn.Linear(2, config.width) for _ in self.layers)
        self.classes = nn.ModuleList(nn.Embedding(max(1, self.n_classes), config.width) for _ in self.layers)
        self.out = nn.Conv2d(config.width, channels, 3, padding=1)

    def network(self, scaled: Tensor, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        """Return F(scaled; c_noise, labels), the shape of ``scaled``; input and target have unit variance."""
        level = torch.stack([c_noise, c_noise.square()], dim=1)
        hidden = scaled
        for layer, noise, classes in zip(self.layers, self.noise, self.classes, strict=True):
            shift = noise(level) if labels is None else noise(level) + classes(labels)
            hidden = nn.functional.silu(layer(hidden) + shift[:, :, None, None])
        return self.out(hidden)
