"""The end of an epoch: its measures, its point of the training curve, and the checkpoints and samples that are due."""

from __future__ import annotations

from pathlib import Path

from core.config.config import ModelConfig
from core.diffusion.pictures import save_sample_grid
from core.diffusion.training.checkpoint_names import BEST, step_name
from core.diffusion.training.logged import NoRun
from core.diffusion.training.state import TrainingState
from core.diffusion.training.validation import Validation, better
from core.runs import Run
from core.runs.metrics import VALIDATION_LOSS
from core.utils.meters import Meter


def checkpoint_is_due(config: ModelConfig, epoch: int) -> bool:
    """Return whether a checkpoint is written when so many epochs are done; the last one always is."""
    return epoch % config.checkpoint_every_epochs == 0 or epoch == config.n_epochs or _is_kept(config, epoch)


def _is_kept(config: ModelConfig, epoch: int) -> bool:
    return config.keep_every_epochs is not None and epoch % config.keep_every_epochs == 0


def measured(state: TrainingState, validation: Validation | None) -> Meter:
    """Return the measures of an epoch; with ``validation``, also the loss of the averaged model on its images."""
    if validation is None or not state.ranks.is_first:
        return state.measures.meter
    meter = Meter()
    meter.merge(state.measures.meter)
    meter.update({VALIDATION_LOSS: validation.losses(state.averaged_model())})
    return meter


def kept_as(state: TrainingState, meter: Meter) -> list[str]:
    """Return the names under which an epoch's checkpoint is kept, besides "last"; the state remembers the best one."""
    names = [step_name(state.step)] if _is_kept(state.config, state.epoch) else []
    if VALIDATION_LOSS in meter.results():
        before, state.best = state.best, better(state.step, meter.mean(VALIDATION_LOSS), state.best)
        names += [] if state.best is before else [BEST]
    return names


def add_to_curve(state: TrainingState, meter: Meter, run: Run | NoRun, **rates: float) -> str:
    """Write the measures of an epoch to the training curve, and return a line about it for the progress.

    Args:
        state: The state at the end of the epoch.
        meter: The epoch's measures.
        run: The run whose curve gets the point.
        rates: More numbers of the point, such as ``images_per_s``.
    """
    run.log_curve(state.step, epoch=state.epoch, meter=meter, **rates)
    chosen_by = f", validation {meter.mean(VALIDATION_LOSS):.3f}" if VALIDATION_LOSS in meter.results() else ""
    return f"epoch {state.epoch}, loss {meter.mean('loss'):.3f}{chosen_by}"


def draw_samples(state: TrainingState, run_path: str | Path) -> None:
    """Draw samples of the averaged model, in the first process, and save them under the number of the step."""
    if state.ranks.is_first:
        save_sample_grid(state.averaged_model(), state.config, state.device, Path(run_path), _samples_name(state))


def draw_missing_samples(state: TrainingState, run_path: str | Path) -> None:
    """Draw an epoch's samples now if the run was killed after the epoch's checkpoint was written and before them."""
    path = Path(run_path) / "samples" / f"{_samples_name(state)}.png"
    if state.step and state.order is None and not path.exists():
        draw_samples(state, run_path)


def _samples_name(state: TrainingState) -> str:
    return f"step-{state.step:07d}"
