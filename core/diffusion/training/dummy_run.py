"""The run of a model that is not trained: dummy data, and a result that says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from core import plugins
from core.config.config import ModelConfig
from core.diffusion.placeholder import dummy_record
from core.diffusion.training.logged import log_time, start_run
from core.diffusion.training.random_state import seeded
from core.diffusion.training.ranks import Ranks
from core.runs import Run
from core.runs.tracking import Tracker
from core.utils.progress import Progress
from core.utils.utils import Timer


def dummy_run(
    config: ModelConfig,
    model_class: type[nn.Module],
    run_path: str | Path,
    progress: Progress,
    started: Callable[[Run], None],
    trackers: Sequence[Tracker | str] | None,
) -> nn.Module:
    """Pass dummy data through a model that cannot be trained, and log a result that says so.

    Args:
        config: The config of the run.
        model_class: The model, which is no denoiser.
        run_path: The run directory.
        progress: See ``train_diffusion_model``.
        started: See ``train_diffusion_model``.
        trackers: See ``train_diffusion_model``.
    """
    cpu = torch.device("cpu")
    naming = plugins.named_in_errors(plugins.MODELS, config.model)
    with naming, seeded(config.seed, cpu), Timer("training") as training:
        model = model_class(config).eval()
        record = dummy_record(model, config.model, "train")
    with start_run(config, run_path, cpu, Ranks(), trackers=trackers) as run:
        if isinstance(run, Run):
            started(run)
        run.progress(1, 1)
        progress(1, 1, f"{config.model!r} is a placeholder: nothing to train")
        run.log_record(record)
        log_time(run, "time/train", training.result(), "run", cpu)
        return model
