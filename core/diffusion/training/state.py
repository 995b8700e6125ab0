"""The state of training: everything that a step changes, and that a checkpoint holds."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.model import Denoiser
from core.diffusion.training.checkpoints import (
    BEST_SO_FAR,
    OTHER_EMAS,
    Checkpoint,
    CheckpointError,
    load_weights,
    save_checkpoint,
)
from core.diffusion.training.continuable import check_continuable
from core.diffusion.training.curve import EpochMeasures
from core.diffusion.training.ema import EMA, half_lives
from core.diffusion.training.optimizer import learning_rate, make_optimizer
from core.diffusion.training.random_state import random_states, set_random_states
from core.diffusion.training.ranks import Losses, Ranks
from core.diffusion.training.validation import Best
from core.utils.meters import Meter


class TrainingState:
    """Model, moving average, optimiser, and the progress of training.

    Args:
        config: The run's config, completed from the data.
        model: The model to train; it is moved to the device.
        device: Device to train on.
        n_images: Number of training images.
        ranks: The processes that train together; None: this one alone.

    Attributes:
        ema: The moving average of the weights; of several, the first.
        other_emas: The other moving averages.
        step: Steps done.
        epoch: Epochs done.
        order: Order of the images in the current epoch, int64 of shape ``(n_images,)`` on the CPU; None between epochs.
        n_seen: Images of the current epoch already trained on; 0 between epochs.
        best: The best checkpoint so far, where there are validation images.
    """

    def __init__(
        self, config: ModelConfig, model: Denoiser, device: torch.device, n_images: int, ranks: Ranks | None = None
    ) -> None:
        self.ranks = ranks or Ranks()
        self.config = config
        self.device = device
        self.n_images = n_images
        self.model = model.to(device)
        self.ema, *self.other_emas = (EMA(self.model, half_life) for half_life in half_lives(config))
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(config, self.parameters)
        self.measures = EpochMeasures(ranks=self.ranks)
        self.step = 0
        self.epoch = 0
        self.order: Tensor | None = None
        self.n_seen = 0
        self.best: Best | None = None

    @cached_property
    def losses(self) -> Losses:
        """The model's loss of each image; the processes average its gradients."""
        return self.ranks.losses_of(self.model)

    @property
    def n_images_seen(self) -> int:
        """Images trained on so far, counting each image once per epoch."""
        return self.epoch * self.n_images + self.n_seen

    @property
    def has_learned(self) -> bool:
        """Whether at least one step has changed the weights, rather than been skipped."""
        return bool(self.optimizer.state)  # Adam has no state before its first step

    def finish_epoch(self) -> None:
        """Count the current epoch as done."""
        self.epoch += 1
        self.order, self.n_seen = None, 0

    def set_learning_rate(self) -> None:
        """Set the learning rate of this step."""
        n_steps = self.config.n_epochs * math.ceil(self.n_images / self.config.batch_size)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step, n_steps)

    def update_averages(self, n_images: int) -> None:
        """Move all moving averages towards the weights after a step on ``n_images`` images."""
        for ema in (self.ema, *self.other_emas):
            ema.update(self.n_images_seen, n_images)

    def averaged_model(self) -> Denoiser:
        """Return a copy of the model with the first moving average of its weights, ready to denoise."""
        twin = copy.deepcopy(self.model)
        twin.load_state_dict(self.ema.state_dict())
        return twin.eval().requires_grad_(False)

    def save(self, run_path: str | Path, also: Sequence[str] = ()) -> None:
        """Write the run's last checkpoint. All processes call this; the first one writes, and the others wait for it.

        Args:
            run_path: The run directory.
            also: Names of other checkpoints that are written with the same content.

        Raises:
            TrainingDivergedError: A loss is not finite. Nothing is written; the last good checkpoint is kept.
        """
        self.measures.gather()
        if self.ranks.is_first:
            self._write(run_path, also)
        self.ranks.wait_for_all()

    def _write(self, run_path: str | Path, also: Sequence[str]) -> None:
        others = {ema.half_life_images: ema.state_dict() for ema in self.other_emas}
        save_checkpoint(
            run_path,
            {
                "model": self.config.model,
                "weights": self.model.state_dict(),
                "ema": self.ema.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "epoch": self.epoch,
                "n_seen": self.n_seen,
                "order": self.order,
                "random": random_states(self.device),
                "meter": self.measures.meter.state_dict(),
                **({OTHER_EMAS: others} if others else {}),
                **({} if self.best is None else {BEST_SO_FAR: attrs.asdict(self.best)}),
            },
            also,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state that a checkpoint holds, the random generators included.

        Raises:
            CheckpointError: It does not fit the model, or training cannot continue from it.
        """
        saved = checkpoint.state
        try:
            for ema in (self.ema, *self.other_emas):
                average = checkpoint.average(None if ema is self.ema else ema.half_life_images)
                load_weights(checkpoint.path, self.model, average)
                ema.load_state_dict(self.model.state_dict())
            load_weights(checkpoint.path, self.model, saved["weights"])
            check_continuable(saved, self.model, self.n_images, self.config.batch_size)
            self._restore_progress(saved)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, CheckpointError):
                raise
            kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
            raise CheckpointError(
                f"{checkpoint.path}: training cannot continue from it ({kind}{error}). Nothing was changed."
            ) from None

    def _restore_progress(self, saved: dict[str, Any]) -> None:
        # The options of Adam are those of the config: a checkpoint's may lack one, or hold another learning rate.
        own = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": saved["optimizer"]["state"], "param_groups": own})
        self.step, self.epoch, self.order = (saved[key] for key in ("step", "epoch", "order"))
        self.n_seen = 0 if self.order is None else saved["n_seen"]  # older checkpoints kept it between epochs
        self.best = Best(**saved[BEST_SO_FAR]) if BEST_SO_FAR in saved else None
        self.measures.restart()
        if self.ranks.is_first:
            self.measures.meter.merge(Meter.from_state_dict(saved["meter"]))
        set_random_states(saved["random"], self.device)
