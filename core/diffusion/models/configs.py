"""Config fields that only one model has. ``--help`` imports this module, so it must not import torch."""

from __future__ import annotations

from typing import TypeVar

from attrs import frozen

from core.config import rules
from core.config.config import ModelConfig
from core.config.fields import option

Own = TypeVar("Own", bound=ModelConfig)


@frozen(kw_only=True)
class MLPConfig(ModelConfig):
    """Hyperparameters of ``mlp``; ``hidden_layer_sizes`` gives the width of its layers."""

    embedding_size: int = option(128, rule=rules.integer(8), help="Size of the embedding of noise level and class.")
    dropout: float = option(0.0, rule=rules.number(0, 0.99), help="Dropout probability in training.")
    class_conditional: bool = option(
        True, rule=rules.boolean(), help="Whether the denoiser gets the class of the image as input."
    )
    label_dropout: float = option(
        0.0, rule=rules.number(0, 0.99), help="Share of training images whose class is hidden, for --guidance."
    )


@frozen(kw_only=True)
class UNetConfig(ModelConfig):
    """Hyperparameters of ``unet``; the multipliers 1,2,2 suit 28×28 images, which they halve twice."""

    patch_size: int = option(
        1,
        rule=rules.integer(1),
        help="Height and width of the patches that the network takes as one pixel. 2 takes about a third of the time.",
    )
    channels: int = option(16, rule=rules.integer(4), help="Channels at full resolution.")
    channel_multipliers: tuple[int, ...] = option(
        (1, 2),
        rule=rules.integers(1),
        help="Channels at each level, as multiples of --channels; each level after the first halves the image.",
    )
    blocks_per_level: int = option(1, rule=rules.integer(1), help="Residual blocks per level, on the way down and up.")
    embedding_size: int = option(64, rule=rules.integer(8), help="Size of the embedding of noise level and class.")
    dropout: float = option(0.0, rule=rules.number(0, 0.99), help="Dropout probability in training.")
    class_conditional: bool = option(
        True, rule=rules.boolean(), help="Whether the denoiser gets the class of the image as input."
    )
    label_dropout: float = option(
        0.0, rule=rules.number(0, 0.99), help="Share of training images whose class is hidden, for --guidance."
    )


def own_config(config: ModelConfig, cls: type[Own], model: str) -> Own:
    """Return the config if it is of the model's own class.

    Args:
        config: The config that the model was given.
        cls: The model's config class.
        model: The model's name, for the message.

    Raises:
        TypeError: It is of another class. Its missing fields are not filled with defaults: that would be another model.
    """
    if not isinstance(config, cls):
        raise TypeError(
            f"model {model!r}: got a {type(config).__name__}; accepted: {cls.__name__}. "
            "Try: core.plugins.with_own_fields(config)."
        )
    return config
