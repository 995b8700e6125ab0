"""A multilayer perceptron as a denoiser: enough for small images, and quick to train on a CPU."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.config.config import ModelConfig
from core.diffusion.configs import MLPConfig
from core.diffusion.model import Denoiser


class Conditioning(nn.Module):
    """Embeds the noise level, and the class where there are classes, in one vector per image.

    The frequencies cover c_noise = ln(sigma) / 4 over EDM's whole range of noise levels, -1.6 to 1.1, with periods
    from 25 down to 0.4.
    """

    frequencies: Tensor

    def __init__(self, size: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(math.log10(0.25), math.log10(16), size // 4))
        self.hidden = nn.Linear(2 * (size // 4), size)
        self.out = nn.Linear(size, size)
        self.classes = nn.Embedding(n_classes, size) if n_classes else None

    def forward(self, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        """Return shape ``(N, size)``."""
        angles = c_noise[:, None] * self.frequencies
        embedded: Tensor = self.out(functional.silu(self.hidden(torch.cat([angles.sin(), angles.cos()], 1))))
        if self.classes is not None:
            if labels is None:
                raise ValueError("this denoiser is class-conditional and needs labels, got None")
            embedded = embedded + self.classes(labels)
        return functional.silu(embedded)


class Layer(nn.Module):
    """A linear layer, normalised, scaled and shifted by the conditioning; residual where the width stays."""

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
        """Return shape ``(N, n_out)``."""
        scale, shift = self.modulation(conditioning).chunk(2, dim=1)
        update: Tensor = self.dropout(functional.silu(self.norm(self.linear(hidden)) * (1 + scale) + shift))
        return hidden + update if self.is_residual else update


class MLP(Denoiser):
    """Hidden layers of ``hidden_layer_sizes`` units on the flattened image, told noise level and class.

    The last layer starts at 0: an untrained model is exactly its preconditioning, and its loss about 1.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        own = config if isinstance(config, MLPConfig) else MLPConfig()
        n_values = math.prod(self.data_shape)
        widths = [n_values, *config.hidden_layer_sizes]
        self.conditioning = Conditioning(own.embedding_size, self.n_classes if own.class_conditional else 0)
        self.layers = nn.ModuleList(
            Layer(n_in, n_out, own.embedding_size, own.dropout) for n_in, n_out in itertools.pairwise(widths)
        )
        self.out = nn.Linear(widths[-1], n_values)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def network(self, scaled: Tensor, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        """Return F, the shape of ``scaled``; see Denoiser."""
        conditioning = self.conditioning(c_noise, labels)
        hidden = scaled.flatten(1)
        for layer in self.layers:
            hidden = layer(hidden, conditioning)
        raw: Tensor = self.out(hidden)
        return raw.reshape(scaled.shape)
