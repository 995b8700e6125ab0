"""Read a trained run: its config, completed from the data, and its model."""

from __future__ import annotations

from pathlib import Path

import attrs
import torch

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError, unknown_name
from core.config.fields import found_fields
from core.diffusion.model import Denoiser
from core.diffusion.training.checkpoint_names import LAST
from core.diffusion.training.checkpoints import EMA_WEIGHTS, WEIGHTS, Checkpoint, load_checkpoint, load_weights
from core.diffusion.training.ema import half_lives
from core.runs.config_file import CONFIG

NEEDED = ("data_shape", "n_classes", "sigma_data")


def is_denoiser(config: ModelConfig) -> bool:
    """Return whether the config's model is a ``Denoiser``, that is, whether it is trained."""
    return issubclass(plugins.load(plugins.MODELS, config.model), Denoiser)


def trained_config(config: ModelConfig, run_path: str | Path) -> ModelConfig:
    """Return the config with the fields that the trainer found in the data, read from the run's config.json.

    A run without config.json is accepted if the config has the fields that the model needs.

    Raises:
        ConfigError: A field is missing, and the run has no config.json that can be read.
    """
    if config.data_fingerprint is not None or not is_denoiser(config):
        return config
    if all(getattr(config, name) is not None for name in NEEDED) and not (Path(run_path) / CONFIG.name).exists():
        return config
    saved = plugins.saved_config(run_path)
    missing = [name for name in ("sigma_data", *found_fields(ModelConfig)) if getattr(config, name) is None]
    return attrs.evolve(config, **{name: getattr(saved, name) for name in missing})


def load_denoiser(
    run_path: str | Path, config: ModelConfig, device: torch.device, weights: str = EMA_WEIGHTS, checkpoint: str = LAST
) -> Denoiser:
    """Read a run's checkpoint and return its model on the device, in eval mode, without gradients.

    Args:
        run_path: The run directory.
        config: The run's config as saved, in which data_shape, n_classes and sigma_data are known.
        device: Device of the model.
        weights: "ema" for the moving average of the weights, "raw" for the weights of the checkpoint's step.
        checkpoint: Which of the run's checkpoints: "last", "best" or "step-N".

    Raises:
        ConfigError: ``weights`` is neither, or the checkpoint's name is none of these.
        CheckpointError: There is no checkpoint that can be read, or it does not fit the config's model.
    """
    return denoiser_of(load_checkpoint(run_path, config, checkpoint), config, device, weights)


def other_average(config: ModelConfig, weights: str, ema_half_life_images: int | None) -> int | None:
    """Return the half-life of the moving average to evaluate; None for the run's first one, or for the raw weights.

    Args:
        config: The run's config.
        weights: "ema" or "raw".
        ema_half_life_images: The half-life that was asked for, in training images; None for the first one.

    Raises:
        ConfigError: The run has no such moving average, or the raw weights are asked for.
    """
    if ema_half_life_images is None:
        return None
    known = half_lives(config)
    if weights != EMA_WEIGHTS:
        raise ConfigError("ema_half_life_images chooses a moving average; it goes with --weights ema only.")
    if ema_half_life_images not in known:
        raise ConfigError(
            f"ema_half_life_images: got {ema_half_life_images}; accepted: {', '.join(map(str, known))}, with which the "
            "run was trained. For other ones, train with: --ema-half-life-images N,N,..."
        )
    return None if ema_half_life_images == known[0] else ema_half_life_images


def denoiser_of(
    checkpoint: Checkpoint,
    config: ModelConfig,
    device: torch.device,
    weights: str = EMA_WEIGHTS,
    ema_half_life_images: int | None = None,
) -> Denoiser:
    """Return the model of a checkpoint on the device, in eval mode, without gradients.

    Args:
        checkpoint: The run's checkpoint, as ``load_checkpoint`` returned it.
        config: The run's config as saved, in which data_shape, n_classes and sigma_data are known.
        device: Device of the model.
        weights: "ema" for the moving average of the weights, "raw" for the weights of the last step.
        ema_half_life_images: Which moving average, by its half-life in training images; None for the first one.

    Raises:
        ConfigError: ``weights`` is neither.
        CheckpointError: The checkpoint does not fit the config's model, or does not hold the moving average.
    """
    if weights not in WEIGHTS:
        raise unknown_name("kind of weights", weights, WEIGHTS)
    with plugins.named_in_errors(plugins.MODELS, config.model):
        model: Denoiser = plugins.load(plugins.MODELS, config.model)(config)
    content = checkpoint.average(ema_half_life_images) if weights == EMA_WEIGHTS else checkpoint.state["weights"]
    load_weights(checkpoint.path, model, content)
    return model.to(device).eval().requires_grad_(False)
