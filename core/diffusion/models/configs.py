"""Config fields that only one model has; imported for ``--help``, so nothing here imports torch."""

from __future__ import annotations

from attrs import frozen

from core.config import rules
from core.config.config import ModelConfig, option


@frozen(kw_only=True)
class MLPConfig(ModelConfig):
    """Hyperparameters of ``mlp``; the widths of its layers are ``hidden_layer_sizes``."""

    embedding_size: int = option(
        128, rule=rules.integer(8), help="Size of the embedding of noise level and class, in units."
    )
    dropout: float = option(0.0, rule=rules.number(0, 0.99), help="Share of hidden units dropped in training.")
    class_conditional: bool = option(
        True, rule=rules.boolean(), help="Whether the denoiser is told the class of the image."
    )


@frozen(kw_only=True)
class UNetConfig(ModelConfig):
    """Hyperparameters of ``unet``; for 28×28 images the multipliers 1,2,2 halve them twice."""

    channels: int = option(16, rule=rules.integer(4), help="Channels at full resolution.")
    channel_multipliers: tuple[int, ...] = option(
        (1, 2), rule=rules.integers(1), help="Channels at each resolution, as multiples; each further one halves it."
    )
    blocks_per_level: int = option(1, rule=rules.integer(1), help="Residual blocks at each resolution, down and up.")
    embedding_size: int = option(
        64, rule=rules.integer(8), help="Size of the embedding of noise level and class, in units."
    )
    dropout: float = option(0.0, rule=rules.number(0, 0.99), help="Share of hidden units dropped in training.")
    class_conditional: bool = option(
        True, rule=rules.boolean(), help="Whether the denoiser is told the class of the image."
    )
