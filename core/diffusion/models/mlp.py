"""``mlp``: a multilayer perceptron as a denoiser, for small images and quick training on a CPU."""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn
from torch.nn import functional

from core.config.config import ModelConfig
from core.diffusion.models.conditioned import ConditionedDenoiser
from core.diffusion.models.configs import MLPConfig, own_config


class Layer(nn.Module):
    """A linear layer with layer norm, whose scale and shift come from the conditioning.

    It has a residual connection if input and output have the same width.
    """

    def __init__(self, n_in: int, n_out: int, embedding_size: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.norm = nn.LayerNorm(n_out)
        self.modulation = nn.Linear(embedding_size, 2 * n_out)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.dropout = nn.Dropout(dropout)
        self.is_residual = n_in == n_out

    def forward(self, hidden: Tensor, conditioning: Tensor) -> Tensor:
        """Return shape ``(N, n_out)``, given shapes ``(N, n_in)`` and ``(N, embedding_size)``."""
        scale, shift = self.modulation(conditioning).chunk(2, dim=1)  # (N, n_out) each
        update: Tensor = self.dropout(functional.silu(self.norm(self.linear(hidden)) * (1 + scale) + shift))
        return hidden + update if self.is_residual else update


class MLP(ConditionedDenoiser):
    """Hidden layers of ``hidden_layer_sizes`` units on the flattened image, conditioned on noise level and class.

    The last layer starts at 0, so the network of an untrained model returns 0.
    """

    def __init__(self, config: ModelConfig) -> None:
        own = own_config(config, MLPConfig, "mlp")
        super().__init__(config, own.embedding_size)
        n_values = math.prod(self.data_shape)
        widths = [n_values, *config.hidden_layer_sizes]
        self.layers = nn.ModuleList(
            Layer(n_in, n_out, own.embedding_size, own.dropout) for n_in, n_out in itertools.pairwise(widths)
        )
        self.out = nn.Linear(widths[-1], n_values)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def output(self, images: Tensor, conditioning: Tensor) -> Tensor:
        """Return the shape of ``images``. See ``ConditionedDenoiser.output``."""
        hidden = images.flatten(1)  # (N, n_values)
        for layer in self.layers:
            hidden = layer(hidden, conditioning)  # (N, width of the layer)
        raw: Tensor = self.out(hidden)  # (N, n_values)
        return raw.reshape(images.shape)
