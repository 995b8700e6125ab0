"""One training run of a command: its directory, its messages, and what a signal leaves behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core import plugins
from core.commands.config_command import Resolved
from core.commands.ranks import joined_ranks
from core.utils.output import Place, messages_to, say
from core.utils.signals import RunInterrupted

if TYPE_CHECKING:
    from torch import nn

    from core.config.config import ModelConfig
    from core.diffusion.training.ranks import Ranks
    from core.runs.tracking import Tracker

ECHO_S = 5.0  # torchrun and Slurm may send a process two signals for one


def train_run(
    config: ModelConfig,
    resolved: Resolved,
    print_run: bool,
    messages: Place,
    *,
    run_path: Path | None = None,
    run_id: str | None = None,
    force: bool = False,
) -> None:
    """Train one run.

    Args:
        config: Its config.
        resolved: What else the command line asked for.
        print_run: Whether to print the path of the run on stdout, alone.
        messages: Where everything else is printed.
        run_path: The run to continue; None makes a new one.
        run_id: The id of the new run; None generates one.
        force: Whether to take the run over from a process on another host.
    """
    from core.meter import engines
    from core.runs.tracking import guarded
    from core.utils.utils import create_experiment_subdir, generate_run_id

    engine = engines.describe()  # before the directory is made: PYML_ENGINE may be wrong
    with joined_ranks(resolved.global_config.device) as (ranks, device):
        plugins.load(plugins.MODELS, config.model)  # before the directory is made: a broken plugin leaves no empty run
        plugins.load(plugins.DATASETS, config.dataset)
        trackers = guarded(resolved.global_config.tracker) if ranks.is_first else ()
        path: Path = run_path or ranks.from_first(
            lambda: create_experiment_subdir(resolved.global_config, run_id or generate_run_id())
        )

        def announce() -> None:
            if print_run:
                with messages_to("stdout"):
                    say(str(path), exact=True)
            say(f"Run {path}")
            for suggestion in resolved.suggested if run_path is None else ():
                say(str(suggestion))
            say(engine)

        _train_in(
            path,
            config,
            ranks,
            announce,
            messages=messages if ranks.is_first else "silence",
            is_resumed=run_path is not None,
            device=device,
            force=force,
            trackers=trackers,
        )


def _train_in(
    run_path: Path,
    config: ModelConfig,
    ranks: Ranks,
    announce: Callable[[], None],
    *,
    messages: Place,
    is_resumed: bool,
    device: str,
    force: bool,
    trackers: Sequence[Tracker],
) -> None:
    """Train in a directory that exists.

    Args:
        run_path: The directory.
        config: The run's config.
        ranks: The processes that train together.
        announce: Prints which run it is.
        messages: Where messages are printed.
        is_resumed: Whether the run continues from its checkpoint.
        device: The device to train on.
        force: Whether to take the run over from a process on another host.
        trackers: What the run's curve and results are passed on to.
    """
    from core.commands.progress_bar import reporting
    from core.diffusion.train import train_diffusion_model
    from core.utils.signals import StopSignals

    with (
        messages_to(messages),
        StopSignals(echo_s=ECHO_S if "SLURM_JOB_ID" in os.environ or not ranks.is_alone else 0.0) as signals,
        reporting(quiet=messages in {"nowhere", "silence"}) as progress,
        _no_empty_directory(run_path) if ranks.is_first else contextlib.nullcontext(),
        _resume_hint(run_path),
    ):
        if is_resumed:
            announce()
            if (change := _other_world_size(run_path, ranks)) is not None:
                say(change)
        model = train_diffusion_model(
            config,
            run_path,
            device=device,
            resume=run_path if is_resumed else None,
            stop=signals.requested,
            progress=progress,
            started=None if is_resumed else lambda _run: announce(),  # a new run is named once it exists
            force=force,
            trackers=trackers,
            ranks=ranks,
        )
        _say_done(model, config, run_path)
        late = signals.requested(announce=False) if ranks.is_alone else None
    if late is not None:  # it came after the last step: this run is complete, but nothing is to follow
        late.add_note("The training had finished.")
        raise late


def _say_done(model: nn.Module, config: ModelConfig, run_path: Path) -> None:
    from core.diffusion.model import Denoiser
    from core.diffusion.placeholder import placeholder_notice

    is_trained = isinstance(model, Denoiser)
    if not is_trained:
        say(placeholder_notice(config.model))
    say(f"Done. Evaluate it with: pyml-eval {run_path}")
    if config.validation_share and is_trained:
        say(f"Or the best checkpoint: pyml-eval {run_path} --checkpoint best")


@contextlib.contextmanager
def _no_empty_directory(run_path: Path) -> Iterator[None]:
    """Remove the run's directory if training fails before it has written anything: the data may be missing."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # rmdir removes nothing but an empty directory
            run_path.rmdir()
        raise


@contextlib.contextmanager
def _resume_hint(run_path: Path) -> Iterator[None]:
    """Add the command that continues the run to what interrupts it, if the run has a checkpoint."""
    try:
        yield
    except RunInterrupted as stopped:
        if any((run_path / "checkpoints").glob("*")):
            stopped.add_note(f"Continue with: pyml-train --resume {run_path}")
        raise


def _other_world_size(run_path: Path, ranks: Ranks) -> str | None:
    """Return a line that says so if a run continues with another number of processes."""
    from core.runs.environment import last_world_size

    before = last_world_size(run_path)
    if before is None or before == ranks.world_size:
        return None
    return (
        f"Trained by {_processes(before)} so far, continues with {_processes(ranks.world_size)}: the same images and "
        "noise, but sums of float32 in another order."
    )


def _processes(n: int) -> str:
    return "1 process" if n == 1 else f"{n} processes"
