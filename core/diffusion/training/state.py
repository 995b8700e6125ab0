"""Everything that training changes: what a checkpoint holds, so that a resumed run goes on to the bit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.model import Denoiser
from core.diffusion.training.checkpoints import (
    CheckpointError,
    checkpoint_path,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from core.diffusion.training.curve import EpochMeasures
from core.diffusion.training.ema import EMA
from core.diffusion.training.random_state import random_states, set_random_states
from core.utils.meters import Meter


class TrainingState:
    """Model, moving average, optimiser, and how far training is.

    Attributes:
        step: Steps done.
        epoch: Epochs done.
        order: The data order of the epoch under way, int64 on the CPU; None between epochs.
        n_seen: Images of ``order`` that the epoch has used.
    """

    def __init__(self, config: ModelConfig, model: Denoiser, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.model = model.to(device)
        self.ema = EMA(self.model, config.ema_half_life_images)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, fused=True)
        self.measures = EpochMeasures()
        self.step = 0
        self.epoch = 0
        self.order: Tensor | None = None
        self.n_seen = 0

    @property
    def n_images_seen(self) -> int:
        """Images trained on so far, each counted as often as it came."""
        return self.epoch * (0 if self.order is None else len(self.order)) + self.n_seen

    def set_learning_rate(self) -> None:
        """Give the optimiser the learning rate of this step: a straight warm-up, then constant."""
        warm = min(1.0, self.step / max(1, self.config.warmup_steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * warm

    def averaged_model(self) -> Denoiser:
        """Return a copy of the model with the moving average of its weights, ready to denoise."""
        twin = copy.deepcopy(self.model)
        twin.load_state_dict(self.ema.state_dict())
        return twin.eval().requires_grad_(False)

    def save(self, run_path: Path) -> None:
        """Write the run's checkpoint.

        Raises:
            TrainingDivergedError: A loss is not finite; nothing is written, and the last good checkpoint stays.
        """
        self.measures.fold()
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
            },
        )

    def load(self, run_path: Path) -> None:
        """Go on from the run's checkpoint.

        Raises:
            CheckpointError: It is missing, damaged or of another model.
        """
        state = load_checkpoint(run_path, self.config)
        path = checkpoint_path(run_path)
        load_weights(path, self.model, state["ema"])
        self.ema.load_state_dict(self.model.state_dict())
        load_weights(path, self.model, state["weights"])
        try:
            self._restore(state)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: training cannot go on from it ({type(error).__name__}: {error}).") from None

    def _restore(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.epoch, self.n_seen, self.order = (state[key] for key in ("step", "epoch", "n_seen", "order"))
        self.measures.restart()
        self.measures.meter.merge(Meter.from_state_dict(state["meter"]))
        set_random_states(state["random"], self.device)
