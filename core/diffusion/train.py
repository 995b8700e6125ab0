"""Train a model in a run directory: a denoiser for real, or the placeholder's way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from core import plugins
from core.config.config import ModelConfig
from core.diffusion.datasets.base import TRAIN, Batches, ImageData, load_data, standard_deviation
from core.diffusion.devices import choose_device
from core.diffusion.evaluators.base import as_trained
from core.diffusion.model import Denoiser, denoising_losses, draw_sigmas
from core.diffusion.pictures import save_sample_grid
from core.diffusion.placeholder import dummy_record, placeholder_notice
from core.diffusion.training.checkpoints import load_checkpoint
from core.diffusion.training.curve import log_epoch, wall_time_until
from core.diffusion.training.random_state import seeded
from core.diffusion.training.state import TrainingState
from core.runs.directory import RunStatus, run_status
from core.runs.environment import save_environment
from core.runs.result_log import TRAINING
from core.utils.results import ResultMetadata, ResultRecord, ScalarResult, log_record
from core.utils.utils import Timer, save_config_to_json

Progress = Callable[[int, int, str], None]
Stop = Callable[[], BaseException | None]


def train_diffusion_model(
    config: ModelConfig,
    run_path: str | Path,
    *,
    device: str = "auto",
    resume: str | Path | None = None,
    stop: Stop | None = None,
    progress: Progress | None = None,
) -> nn.Module:
    """Train the config's model on its data set and return it; the run directory holds all that came of it.

    Two runs with one seed on one machine are equal to the bit. The caller's random generators are left as they were.

    Args:
        config: What to train, and how.
        run_path: The run directory, which exists.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: The run directory whose checkpoint to go on from, as a rule ``run_path`` itself; None starts anew.
        stop: Asked after every step; what it returns, if not None, is raised once a checkpoint is written.
        progress: Called after every step with the steps done, the steps in all, and a word on how it goes.

    Returns:
        The model, in eval mode; a denoiser has the moving average of its weights.

    Raises:
        ConfigError: An unknown model, data set or device.
        PluginError: The model or the data set cannot be imported.
        CheckpointError: There is no checkpoint to resume from, or it does not fit.
        TrainingDivergedError: The loss is no longer finite; the last good checkpoint is kept.
    """
    run_path, config, place = Path(run_path), plugins.with_own_fields(config), choose_device(device)
    model_class = plugins.load(plugins.MODELS, config.model)
    plugins.load(plugins.DATASETS, config.dataset)
    if resume is not None and issubclass(model_class, Denoiser):
        load_checkpoint(Path(resume), config)
        config = as_trained(config, Path(resume))
        saved = _resumed(config, model_class, place, Path(resume))  # before anything of the run is touched
        if saved.epoch >= config.n_epochs and run_status(run_path).state == "finished":
            return saved.averaged_model()
        del saved
    with RunStatus(run_path) as status:
        save_environment(run_path, device=torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu")
        _save_config(config, run_path)

        def report(step: int, n_steps_total: int, words: str) -> None:
            status.progress(step, n_steps_total)
            if progress:
                progress(step, n_steps_total, words)

        if not issubclass(model_class, Denoiser):
            return _pass_through(config, model_class, run_path, report)
        data = load_data(config, TRAIN)
        config = _fitted_to(data, config, run_path)
        with seeded(config.seed, place):
            state = TrainingState(config, model_class(config), place)
            if resume is not None:
                state.load(Path(resume))
            return _fit(state, data, run_path, stop or (lambda: None), report)


def _resumed(config: ModelConfig, model_class: type[Denoiser], device: torch.device, run_path: Path) -> TrainingState:
    """Return the state that a run's checkpoint holds; CheckpointError where training cannot go on from it."""
    with seeded(config.seed, device):
        state = TrainingState(config, model_class(config), device)
        state.load(run_path)
        return state


def _fitted_to(data: ImageData, config: ModelConfig, run_path: Path) -> ModelConfig:
    """Return the config with what only the data can say, and save it."""
    found: dict[str, Any] = {"data_shape": tuple(data.data_shape), "n_classes": data.n_classes}
    if config.sigma_data is None:
        found["sigma_data"] = standard_deviation(data)
    fitted = attrs.evolve(config, **found)
    _save_config(fitted, run_path, found_in_data=tuple(found))
    return fitted


def _pass_through(config: ModelConfig, model_class: type[nn.Module], run_path: Path, report: Progress) -> nn.Module:
    """Do with a model that is not trained what there is to do, and say so."""
    with seeded(config.seed, torch.device("cpu")), Timer("training") as training:
        model = model_class(config).eval()
        record = dummy_record(model, config.model, "train")
    report(1, 1, placeholder_notice(config.model))
    log_record(record, run_path, evaluation=TRAINING)
    _log_time(run_path, "time/train", training.result(), "run", torch.device("cpu"))
    return model


def _fit(state: TrainingState, data: ImageData, run_path: Path, stop: Stop, report: Progress) -> Denoiser:
    """Train until ``n_epochs`` are done, leaving the curve, checkpoints, pictures, and the time it took."""
    config = state.config
    batches = Batches(data, state.device)
    n_steps_total = config.n_epochs * math.ceil(len(data) / config.batch_size)
    earlier_s = wall_time_until(run_path, state.step)
    training, epochs = Timer("training", sync=True), Timer("epoch", sync=True)
    start_s = time.perf_counter()
    words = ""

    def after_step() -> None:
        report(state.step, n_steps_total, words)
        if (request := stop()) is not None:
            state.save(run_path)
            raise request

    state.model.train()
    with training:
        while state.epoch < config.n_epochs:
            with epochs:
                train_epoch(state, batches, len(data), after_step)
            wall_time_s = earlier_s + time.perf_counter() - start_s
            log_epoch(run_path, state.measures.meter, state.step, state.epoch, wall_time_s, len(data) / epochs.last_s)
            words = f"epoch {state.epoch}, loss {state.measures.meter.mean('loss'):.3f}"
            if state.epoch % config.checkpoint_every_epochs == 0 or state.epoch == config.n_epochs:
                state.save(run_path)
                save_sample_grid(state.averaged_model(), config, state.device, run_path, f"step-{state.step:07d}")
    in_all = attrs.evolve(training.result(), mean=earlier_s + training.result().mean)
    _log_time(run_path, "time/train", in_all, "run", state.device)
    if epochs.result().n:
        _log_time(run_path, "time/epoch", epochs.result(), "epoch", state.device)
    return state.averaged_model()


def train_epoch(state: TrainingState, batches: Batches, n_images: int, after_step: Callable[[], None]) -> None:
    """Pass once over the data, or over what an interrupted epoch left of it, in a random order."""
    if state.order is None:
        state.order, state.n_seen = torch.randperm(n_images), 0
        state.measures.restart()
    while state.n_seen < n_images:
        indices = state.order[state.n_seen : state.n_seen + state.config.batch_size]
        train_step(state, *batches.take(indices))
        if state.measures.is_full:
            state.measures.fold()
        state.n_seen += len(indices)
        after_step()
    state.measures.fold()
    state.order = None
    state.epoch += 1


def train_step(state: TrainingState, images: Tensor, labels: Tensor | None) -> None:
    """Take one step down the gradient of the mean loss of a batch, and move the average of the weights.

    Source: arXiv:2206.00364, eq. 8, with Adam; warm-up and clipping as in NVlabs/edm and DDPM.
    """
    config, model = state.config, state.model
    sigma = draw_sigmas(len(images), config.p_mean, config.p_std, state.device)
    noise = torch.randn_like(images)
    with torch.autocast(state.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        losses = denoising_losses(model, images, noise, sigma, model.sigma_data, labels)
    state.optimizer.zero_grad()
    torch.autograd.backward(losses.mean())
    grad_norm = nn.utils.clip_grad_norm_(state.parameters, config.max_grad_norm)
    state.step += 1
    if config.skip_nonfinite and not grad_norm.isfinite():
        state.measures.skip()
        return
    state.set_learning_rate()
    state.optimizer.step()
    state.ema.update(state.n_images_seen, len(images))
    state.measures.add(state.step, losses, sigma, grad_norm)


def _save_config(config: ModelConfig, run_path: Path, found_in_data: Sequence[str] = ()) -> None:
    served = {"model": (plugins.MODELS, config.model), "dataset": (plugins.DATASETS, config.dataset)}
    described = {kind: plugins.find(group, name).describe() for kind, (group, name) in served.items()}
    save_config_to_json(config, run_path, described, found_in_data)


def _log_time(run_path: Path, name: str, result: ScalarResult, unit: str, device: torch.device) -> None:
    metadata = ResultMetadata(name, unit=unit, protocol={"device": device.type}, higher_is_better=False)
    log_record(ResultRecord(metadata, result), run_path, evaluation=TRAINING)
