"""Make a run's samples and write them where the user wants them."""

from __future__ import annotations

from pathlib import Path

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.devices import choose_device
from core.diffusion.sample_export import check_output, write_samples
from core.diffusion.sample_store import SampleStore
from core.diffusion.sampling import sample_labels
from core.diffusion.trained import denoiser_of, is_denoiser, other_average
from core.diffusion.training.checkpoint_names import LAST
from core.diffusion.training.checkpoints import EMA_WEIGHTS, load_checkpoint
from core.runs.shards import share
from core.utils.progress import Progress, silent


def make_samples(
    config: ModelConfig,
    run_path: Path,
    output: Path | None = None,
    weights: str = EMA_WEIGHTS,
    ema_half_life_images: int | None = None,
    checkpoint_name: str = LAST,
    device: str = "auto",
    shard: tuple[int, int] = (1, 1),
    progress: Progress = silent,
) -> tuple[int, Path]:
    """Make ``config.n_samples`` samples of a run; return how many exist, and where they are kept.

    Args:
        config: The run's config as saved; its seed, n_steps, n_samples and sampler may differ.
        run_path: The run directory.
        output: File ending in .npz, or directory for PNG files; None only keeps the samples in the run's directory.
        weights: "ema" or "raw".
        ema_half_life_images: Which moving average, by its half-life in training images; None for the first one.
        checkpoint_name: Which of the run's checkpoints: "last", "best" or "step-N".
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        shard: Which share of the samples to make, from 1, and the number of shares.
        progress: Called after every batch.

    Raises:
        ConfigError: The run has no model to sample from or no such moving average, or the samples cannot be written
            there. Nothing was made.
        CheckpointError: The run's checkpoint is missing, damaged or of another model.
    """
    if not is_denoiser(config):
        raise ConfigError(f"model {config.model!r} is not trained, so that there is nothing to sample from.")
    where, checkpoint = choose_device(device), load_checkpoint(run_path, config, checkpoint_name)
    half_life = other_average(config, weights, ema_half_life_images)
    denoiser = denoiser_of(checkpoint, config, where, weights, half_life)
    if output is not None:
        check_output(output, denoiser.data_shape)
    store = SampleStore(run_path, config, checkpoint.digest, weights, where, half_life)
    store.make(denoiser, share(config.n_samples, *shard), progress)
    made = store.count(range(config.n_samples))
    if output is not None and made == config.n_samples:
        labels = sample_labels(range(made), denoiser.n_classes)
        write_samples(store.samples(denoiser, made), labels, store.setting, output)
    return made, store.path
