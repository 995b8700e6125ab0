"""The training curve: the measures of each epoch, taken per image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.runs.files import append_json_line, read_json_lines
from core.utils.meters import Meter

METRICS_SCHEMA = "pyml.metrics/1"
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
    """

    def __init__(self, every_steps: int = 50) -> None:
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
            losses: Shape ``(N,)``.
            sigma: Noise levels, shape ``(N,)``.
            grad_norm: L2 norm of the gradient before clipping, shape ``()``.
        """
        self._gathered.append((step, losses.detach(), sigma, grad_norm.detach()))

    def skip(self) -> None:
        """Count a step that was skipped because its gradient was not finite."""
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
        means = torch.stack([loss.mean() for loss in losses]).cpu()
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
        self.meter.update(loss=loss, grad_norm=norms, skipped=torch.zeros(len(norms)))
        for index, name in enumerate(LOSS_BY_SIGMA):
            self.meter.update({name: loss[bucket == index]})

    def restart(self) -> None:
        """Clear the meter and the collected measures at the start of an epoch."""
        self.meter.reset()
        self._gathered = []


def log_epoch(run_path: Path, meter: Meter, step: int, epoch: int, wall_time_s: float, images_per_s: float) -> None:
    """Append one epoch's line to metrics.jsonl.

    ``spread`` is the standard deviation within the epoch; the weights move, so it is no error of the mean. ``skipped``
    is the share of steps that were left out.
    """
    measures: dict[str, Any] = {
        name: {"mean": result.mean, "spread": meter.std(name), "n": meter.count(name)}
        for name, result in meter.results().items()
    }
    line = {"schema": METRICS_SCHEMA, "step": step, "epoch": epoch, "measures": measures}
    line |= {"wall_time_s": wall_time_s, "images_per_s": images_per_s}
    append_json_line(run_path / "metrics.jsonl", line)


def wall_time_until(run_path: Path, step: int) -> float:
    """Return the training time, in seconds, that the curve shows for the last epoch ended by ``step``; 0 if none."""
    rows, _ = read_json_lines(run_path / "metrics.jsonl")
    times = [float(row["wall_time_s"]) for row in rows if row["step"] <= step]
    return times[-1] if times else 0.0
