"""The run that a training writes: how it starts, its stand-in in the other processes, and the times that it logs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import attrs
import torch

from core import plugins
from core.config.config import ModelConfig
from core.diffusion.training.ranks import Ranks
from core.diffusion.training.state import TrainingState
from core.runs import Run
from core.runs.tracking import Tracker
from core.utils.results import ResultMetadata, ResultRecord, ScalarResult
from core.utils.utils import Timer


class NoRun:
    """What the other processes of a training have in place of the run: it writes nothing.

    Args:
        path: The run directory, in which the first process writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def finish(self, error: BaseException | None = None) -> None:
        """Do nothing."""

    def progress(self, step: int, n_steps_total: int | None = None) -> None:
        """Do nothing."""

    def log_curve(self, step: int, **_fields: Any) -> None:
        """Do nothing."""

    def log_record(self, record: ResultRecord) -> None:
        """Do nothing."""


def start_run(
    config: ModelConfig,
    run_path: str | Path,
    device: torch.device,
    ranks: Ranks,
    *,
    continues: bool = False,
    found_in_data: tuple[str, ...] = (),
    force: bool = False,
    trackers: Sequence[Tracker | str] | None = None,
) -> Run | NoRun:
    """Return the run to train in.

    Args:
        config: The config to save.
        run_path: The run directory.
        device: What the run uses, for environment.json.
        ranks: The processes that train together. The first one has the run.
        continues: Whether the directory holds the run that continues.
        found_in_data: Config fields whose values were found in the data.
        force: See ``Run.resume``.
        trackers: See ``Run``.
    """
    if not ranks.is_first:
        return NoRun(Path(run_path))
    served = {"model": (plugins.MODELS, config.model), "dataset": (plugins.DATASETS, config.dataset)}
    described = {kind: plugins.find(group, name).describe() for kind, (group, name) in served.items()}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    # The last bits depend on all three.
    environment = {"device": name, "n_threads": torch.get_num_threads(), "world_size": ranks.world_size}
    if continues:
        return Run.resume(
            run_path,
            config,
            plugins=described,
            found_in_data=found_in_data,
            environment=environment,
            force=force,
            trackers=trackers,
        )
    return Run(
        config,
        path=run_path,
        plugins=described,
        found_in_data=found_in_data,
        environment=environment,
        trackers=trackers,
    )


def log_times(state: TrainingState, run: Run | NoRun, training: Timer, epochs: Timer, earlier_s: float) -> None:
    """Log the training time, the sessions before a resume included, and the time of an epoch.

    Args:
        state: The state that was trained.
        run: The run.
        training: Timed this session.
        epochs: Timed each whole epoch of this session.
        earlier_s: Training time before this session, in seconds.
    """
    total = attrs.evolve(training.result(), mean=earlier_s + training.result().mean)
    log_time(run, "time/train", total, "run", state.device)
    if epochs.result().n:
        log_time(run, "time/epoch", epochs.result(), "epoch", state.device)


def log_time(run: Run | NoRun, name: str, result: ScalarResult, unit: str, device: torch.device) -> None:
    """Log a time.

    Args:
        run: The run.
        name: Name of the result, "time/...".
        result: The time in seconds.
        unit: What one observation stands for.
        device: The device; times on a CPU and on a GPU are not comparable.
    """
    metadata = ResultMetadata(name, unit=unit, protocol={"device": device.type}, higher_is_better=False)
    run.log_record(ResultRecord(metadata, result))
