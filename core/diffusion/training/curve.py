"""The training curve: the measures of each epoch, taken per image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from core.diffusion.training.ranks import Ranks
from core.utils.meters import Meter

SIGMA_EDGES = (0.1, 0.3, 1.0)
LOSS_BY_SIGMA = tuple(
    f"loss/sigma_{low:g}_to_{high:g}" for low, high in zip((0, *SIGMA_EDGES), (*SIGMA_EDGES, math.inf), strict=True)
)


class TrainingDivergedError(RuntimeError):
    """The loss or the gradient is not finite; the message names the first such step."""


class EpochMeasures:
    """Collects losses, noise levels and gradient norms on the device and adds them to a meter every few steps.

    The host waits for a GPU only when they are added to the meter, not in every step. The meter is exact, so the
    numbers of an epoch do not depend on how often that happens or on interruptions.

    Args:
        every_steps: Number of collected steps at which ``is_full`` becomes true.
        ranks: The processes that train together. Each collects the losses of its own images; the first one collects
            what is the same on all of them.
    """

    def __init__(self, every_steps: int = 50, ranks: Ranks | None = None) -> None:
        self._ranks = ranks or Ranks()
        self.meter = Meter("loss", *LOSS_BY_SIGMA, "grad_norm", "skipped")
        self._every_steps = every_steps
        self._gathered: list[tuple[int, Tensor, Tensor, Tensor]] = []

    @property
    def is_full(self) -> bool:
        """Whether enough steps are collected to call ``fold``."""
        return len(self._gathered) >= self._every_steps

    def add(self, step: int, losses: Tensor, sigma: Tensor, grad_norm: Tensor) -> None:
        """Collect the measures of one step.

        Args:
            step: The training step.
            losses: Shape ``(N,)``; N is 0 for a process without an image of this batch.
            sigma: Noise levels, shape ``(N,)``.
            grad_norm: L2 norm of the gradient before clipping, shape ``()``.
        """
        self._gathered.append((step, losses.detach(), sigma, grad_norm.detach()))

    def skip(self) -> None:
        """Count a step that was skipped because its gradient was not finite."""
        if self._ranks.is_first:
            self.meter.update(skipped=1)

    def fold(self) -> None:
        """Add the collected measures to the meter.

        Raises:
            TrainingDivergedError: A loss or gradient norm is not finite.
        """
        if not self._gathered:
            return
        steps, losses, sigmas, grad_norms = zip(*self._gathered, strict=True)
        self._gathered = []
        means = torch.stack([loss.mean() if len(loss) else loss.sum() for loss in losses]).cpu()
        norms = torch.stack(grad_norms).cpu()
        bad = ~(means.isfinite() & norms.isfinite())
        if bad.any():
            first = int(bad.nonzero()[0])
            raise TrainingDivergedError(
                f"training diverged at step {steps[first]}: loss {float(means[first])}, gradient norm "
                f"{float(norms[first])}; the last good checkpoint is kept. Try a lower learning_rate."
            )
        loss, sigma = torch.cat(losses).cpu(), torch.cat(sigmas).cpu()
        bucket = torch.bucketize(sigma, torch.tensor(SIGMA_EDGES), right=True)
        self.meter.update(loss=loss)
        if self._ranks.is_first:
            self.meter.update(grad_norm=norms, skipped=torch.zeros(len(norms)))
        for index, name in enumerate(LOSS_BY_SIGMA):
            self.meter.update({name: loss[bucket == index]})

    def gather(self) -> None:
        """Move the observations of all processes to the meter of the first one.

        Raises:
            TrainingDivergedError: See ``fold``.
        """
        self.fold()
        if not self._ranks.is_alone:
            gathered = self.meter.all_reduce()
            self.meter.reset()
            if self._ranks.is_first:
                self.meter.merge(gathered)

    def restart(self) -> None:
        """Clear the meter and the collected measures at the start of an epoch."""
        self.meter.reset()
        self._gathered = []
