"""Train a model in a run directory: ``train_diffusion_model``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
from torch import nn

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.data_fields import completed_from_data, without_found
from core.diffusion.datasets.base import TRAIN, VALIDATION, Batches, ImageData, load_data
from core.diffusion.devices import advice_on_memory, choose_device
from core.diffusion.model import Denoiser
from core.diffusion.trained import trained_config
from core.diffusion.training.checkpoints import load_checkpoint
from core.diffusion.training.compiled import compile_model
from core.diffusion.training.curve import TrainingDivergedError
from core.diffusion.training.dummy_run import dummy_run
from core.diffusion.training.epoch import train_epoch
from core.diffusion.training.epoch_end import (
    add_to_curve,
    checkpoint_is_due,
    draw_missing_samples,
    draw_samples,
    kept_as,
    measured,
)
from core.diffusion.training.logged import NoRun, log_times, start_run
from core.diffusion.training.random_state import seeded
from core.diffusion.training.ranks import Ranks
from core.diffusion.training.state import TrainingState
from core.diffusion.training.validation import Validation
from core.runs import Run
from core.runs.metrics import wall_time_until
from core.runs.status import run_status
from core.runs.tracking import Tracker
from core.utils.progress import Progress, silent
from core.utils.utils import Timer

Stop = Callable[[], BaseException | None]
Started = Callable[[Run], None]

ON_MEMORY = "Try --accumulate 2, which goes through a batch in two parts, or a smaller --batch-size."


def train_diffusion_model(
    config: ModelConfig,
    run_path: str | Path,
    *,
    device: str = "auto",
    resume: str | Path | None = None,
    stop: Stop | None = None,
    progress: Progress | None = None,
    started: Started | None = None,
    force: bool = False,
    trackers: Sequence[Tracker | str] | None = None,
    ranks: Ranks | None = None,
) -> nn.Module:
    """Train the config's model on its data set, write everything to the run directory, and return the model.

    On a CPU, two runs with the same seed on one machine give the same bits. The global random generators of the caller
    are restored at the end.

    Args:
        config: Hyperparameters of the run.
        run_path: The run directory, which must exist.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: Run directory whose checkpoint to continue from, usually ``run_path`` itself; None starts a new run.
        stop: Called after every step. If it returns an exception, a checkpoint is saved and the exception is raised.
        progress: Called after every step with the steps done, the total number of steps and a short text.
        started: Called once with the run when its directory holds it. What is wrong with the config, the data or the
            checkpoint is found before.
        force: Take a run that is resumed over from a process on another host without watching whether it is alive.
        trackers: See ``core.runs.Run``.
        ranks: The processes that train together, from ``ranks.joined``; each calls this function with the same
            arguments. None: this process alone.

    Returns:
        The model, in eval mode. The weights of a denoiser are their moving average.

    Raises:
        ConfigError: The model, data set or device is unknown, the data cannot be used, or there are more processes than
            images in a batch.
        PluginError: The model or the data set cannot be imported.
        RankError: Another process of the training failed.
        CheckpointError: There is no checkpoint to resume from, or it does not fit the config.
        TrainingDivergedError: The loss is not finite, and the last good checkpoint is kept; or every step was skipped.
    """
    run_path, place = Path(run_path), choose_device(device)
    stop, progress, started = stop or (lambda: None), progress or silent, started or (lambda _run: None)
    ranks = ranks or Ranks()

    # Prepare: find the model, read the checkpoint, load the data. Nothing is written until all of this has worked.
    config = plugins.with_own_fields(config)
    model_class = _find_plugins(config, is_new=resume is None)
    if not issubclass(model_class, Denoiser):
        if not ranks.is_alone:
            raise ConfigError(f"model {config.model!r} is not trained. Start it without torchrun, in one process.")
        return dummy_run(config, model_class, run_path, progress, started, trackers)
    checkpoint = None if resume is None else load_checkpoint(Path(resume), config)
    config = without_found(config) if resume is None else trained_config(config, Path(resume))
    data = load_data(config, TRAIN)
    chooses = load_data(config, VALIDATION) if config.validation_share else None
    config, found_in_data = completed_from_data(config, data)
    ranks.check_shares(config.batch_size, len(data))
    ranks.check_same({**attrs.asdict(config), "n_images": len(data), "checkpoint": checkpoint and checkpoint.digest})

    with seeded(config.seed, place):
        # Build the state, and restore it from the checkpoint if the run is resumed.
        with plugins.named_in_errors(plugins.MODELS, config.model):
            state = TrainingState(config, model_class(config), place, len(data), ranks)
        if checkpoint is not None:
            state.restore(checkpoint)
            del checkpoint  # the state has its own copy of the tensors
            if _was_finished(state, run_path):
                return state.averaged_model()
        if config.compile:
            compile_model(state, Batches(data, place))

        # Write down what is trained and where, then train.
        continues = resume is not None and Path(resume).resolve() == run_path.resolve()
        run = start_run(
            config,
            run_path,
            place,
            ranks,
            continues=continues,
            found_in_data=found_in_data,
            force=force,
            trackers=trackers,
        )
        with run, ranks.failing_together(on_stuck=run.finish), advice_on_memory(ON_MEMORY):
            if isinstance(run, Run):
                started(run)
            return fit(state, data, run, stop, progress, None if chooses is None else Validation(chooses, place))


def _find_plugins(config: ModelConfig, *, is_new: bool) -> type[nn.Module]:
    """Return the config's model class; check that its data set exists and, in a new run, offers what the run needs."""
    model_class: type[nn.Module] = plugins.load(plugins.MODELS, config.model)
    plugins.load(plugins.DATASETS, config.dataset)
    if is_new:
        plugins.check_data(config)
    return model_class


def _was_finished(state: TrainingState, run_path: Path) -> bool:
    """Say whether a restored state is that of a run whose training has ended and was recorded as finished."""
    if state.epoch < state.config.n_epochs:
        return False
    recorded: str = state.ranks.from_first(lambda: run_status(run_path).state)
    return recorded == "finished"


def fit(
    state: TrainingState,
    data: ImageData,
    run: Run | NoRun,
    stop: Stop,
    progress: Progress,
    validation: Validation | None = None,
) -> Denoiser:
    """Train until ``n_epochs`` are done; write the curve, checkpoints, sample images and the training time.

    Args:
        state: The state to train from; it is changed in place.
        data: The training images.
        run: The run, which has started; it writes in the first process only.
        stop: See ``train_diffusion_model``.
        progress: See ``train_diffusion_model``.
        validation: Measures what chooses the best checkpoint; None chooses none.

    Returns:
        A copy of the model with the moving average of its weights.

    Raises:
        TrainingDivergedError: The loss is not finite, and the last good checkpoint is kept; or every step was skipped.
    """
    config, batches = state.config, Batches(data, state.device)
    n_steps_total = config.n_epochs * math.ceil(len(data) / config.batch_size)
    earlier_s = wall_time_until(run.path, state.step)
    training, epochs = Timer("training", sync=True), Timer("epoch", sync=True)
    start_s = time.perf_counter()
    text = ""

    def after_step() -> None:
        run.progress(state.step, n_steps_total)
        if state.n_seen < state.n_images:  # the last step of an epoch is reported below, with the epoch's loss
            progress(state.step, n_steps_total, text)
        if (request := state.ranks.agreed(stop())) is not None:
            state.save(run.path)
            raise request

    draw_missing_samples(state, run.path)
    state.model.train()
    with training:
        while state.epoch < config.n_epochs:
            # Train for one epoch. The rest of an interrupted epoch is not an observation of an epoch's time.
            n_trained_before, timer = state.n_seen, epochs if state.order is None else Timer("rest", sync=True)
            with timer:
                train_epoch(state, batches, after_step)

            # Add the epoch to the training curve, with the loss on the validation images where a checkpoint is due.
            images_per_s = (len(data) - n_trained_before) / timer.last_s
            is_due = checkpoint_is_due(config, state.epoch)
            meter = measured(state, validation if is_due else None)
            wall_time_s = earlier_s + time.perf_counter() - start_s
            text = add_to_curve(state, meter, run, wall_time_s=wall_time_s, images_per_s=images_per_s)
            progress(state.step, n_steps_total, text)

            # Save a checkpoint and sample images.
            if is_due:
                state.save(run.path, also=kept_as(state, meter))
                draw_samples(state, run.path)

    _check_learned(state)
    log_times(state, run, training, epochs, earlier_s)
    return state.averaged_model()


def _check_learned(state: TrainingState) -> None:
    if not state.has_learned:
        raise TrainingDivergedError(
            f"all {state.step:,} steps were skipped because no gradient was finite; the weights never changed. "
            "Try a lower learning_rate, or --precision float32."
        )
