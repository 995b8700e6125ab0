"""``pyml-train``: train a model in a run directory of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core import __version__, plugins
from core.commands.config_command import ConfigCommand, Resolved
from core.commands.ranks import RankCommand, is_first_here, joined_ranks
from core.commands.seeds import with_seeds
from core.commands.shards import share_of_process
from core.config.errors import ConfigError
from core.config.options import debug_option, threads_option, workers_option
from core.runs.completion import complete_runs
from core.utils.output import Place, messages_to, say
from core.utils.signals import RunInterrupted

if TYPE_CHECKING:
    from core.config.config import ModelConfig
    from core.diffusion.training.ranks import Ranks
    from core.runs import Run

ECHO_S = 5.0  # torchrun and Slurm may send a process two signals for one
#: And whatever changes only evaluations.
MAY_CHANGE_ON_RESUME = {"n_epochs", "checkpoint_every_epochs", "keep_every_epochs", "compile"}


@click.command(cls=RankCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML or JSON file with config fields.")
@click.option(
    "--resume",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Continue this run: a path, a run id, the beginning of one run's id, or latest.",
)
@click.option(
    "--force", is_flag=True, help="With --resume: take over from a process on another host without waiting for it."
)
@click.option("--run-id", metavar="ID", hidden=True, help="Id of the new run, for commands that start many runs.")
@click.option("--seeds", metavar="A..B", help="Train one run per seed, one after another: 0..4, or 0,3,7.")
@click.option("--dry-run", is_flag=True, help="Print the config that would be used, and stop.")
@click.option("--print-run", is_flag=True, help="Print the run's path on stdout and everything else on stderr.")
@click.option("--quiet", is_flag=True, help="Print warnings and errors only.")
@threads_option
@workers_option
@debug_option
@click.version_option(__version__, prog_name=plugins.OURS)
@click.pass_context
def train(
    ctx: click.Context,
    /,
    resume: str | None,
    force: bool,
    run_id: str | None,
    seeds: str | None,
    dry_run: bool,
    print_run: bool,
    quiet: bool,
    threads: int | None,
    n_workers: int | None,
    **_fields: Any,
) -> None:
    """Train a model and keep its config, curve, results, checkpoints and samples in a run directory.

    A value comes from the options, else from --config FILE, else from the defaults. The options below are those of
    the chosen --model.
    """
    resolved: Resolved = ctx.meta[ConfigCommand.RESOLVED]
    if force and resume is None:
        raise click.UsageError("--force goes with --resume RUN only.")
    if seeds is not None and share_of_process() is not None:
        raise click.UsageError("--seeds trains one run after another. Under torchrun, start one command for each seed.")
    config, run_path = (resolved.config, None) if resume is None else _resumed(resume, resolved, force)
    configs = [config] if seeds is None else with_seeds(config, seeds, resume, resolved)
    plugins.find(plugins.MODELS, config.model)
    if resume is None:
        plugins.check_data(config)
    for name in resolved.global_config.tracker:
        plugins.find(plugins.TRACKERS, name)
    if dry_run:
        if is_first_here():
            say("\n".join(_spell(resolved, each) for each in configs))
        return
    _use_threads(threads, n_workers)
    messages: Place = "nowhere" if quiet else "stderr" if print_run else "stdout"
    if len(configs) == 1:
        _train(configs[0], resolved, print_run, messages, run_path=run_path, run_id=run_id, force=force)
    elif failed := _failed_seeds(configs, resolved, print_run, messages):
        raise click.ClickException(f"{len(failed)} of {len(configs)} runs failed: seeds {', '.join(map(str, failed))}")


def _use_threads(n_threads: int | None, n_workers: int | None) -> None:
    from core.diffusion.datasets.workers import use_workers
    from core.diffusion.devices import use_threads

    use_threads(n_threads)
    use_workers(n_workers)


def _failed_seeds(configs: list[ModelConfig], resolved: Resolved, print_run: bool, messages: Place) -> list[int]:
    """Train the runs one after another, and return the seeds of those that failed, each with a message."""
    from core.diffusion.training.curve import TrainingDivergedError

    failed = []
    for index, config in enumerate(configs):
        try:
            _train(config, resolved, print_run, messages)
        except TrainingDivergedError as error:
            say(f"Error: seed {config.seed}: {error}", err=True)
            failed.append(config.seed)
        except RunInterrupted as stopped:
            n_started = index + hasattr(stopped, "__notes__")  # a note says how to continue this run
            if rest := [each.seed for each in configs[n_started:]]:
                stopped.add_note(f"Seeds still to do: --seeds {','.join(map(str, rest))}")
            raise
    return failed


def _resumed(resume: str, resolved: Resolved, force: bool) -> tuple[ModelConfig, Path]:
    """Return the saved config of the run to continue, with the changes of the command line, and its directory."""
    import attrs

    from core.config.fields import evaluation_fields
    from core.runs.directory import resolve_run
    from core.runs.status import run_status
    from core.runs.training_lock import LOCK_FILE, is_held_here

    run_path = resolve_run(resume, resolved.global_config.experiments_dir)
    has_lock = (run_path / LOCK_FILE).exists()  # then it decides, when the training starts
    if not force and run_status(run_path).state == "running" and (not has_lock or is_held_here(run_path)):
        raise ConfigError(
            f"--resume: run {run_path} is still running. Stop it first: Ctrl-C leaves a checkpoint. "
            "If it was killed on another host, use --force."
        )
    saved = plugins.saved_config(run_path)
    differing = {name for name in resolved.given if getattr(resolved.config, name) != getattr(saved, name)}
    may_change = MAY_CHANGE_ON_RESUME | set(evaluation_fields(type(saved)))
    if saved.lr_schedule == "cosine":  # the number of epochs decides the learning rate of the steps that are done
        may_change -= {"n_epochs"}
    refused = sorted(differing - may_change)
    if refused:
        raise ConfigError(
            f"--resume: {', '.join(refused)} cannot change when a run continues. Accepted with --resume: "
            f"{', '.join(sorted(may_change))}. For other values, start a new run: "
            f"pyml-train --config {run_path / 'config.json'} ..."
        )
    return attrs.evolve(saved, **{name: getattr(resolved.config, name) for name in differing}), run_path


def _spell(resolved: Resolved, config: ModelConfig) -> str:
    import attrs

    from core.runs.strict_json import dumps

    everywhere = {
        name: list(value) if isinstance(value, tuple) else str(value)
        for name, value in attrs.asdict(resolved.global_config).items()
    }
    asked_for = {
        field.name: getattr(config, field.name) for field in attrs.fields(type(config)) if field.metadata["cli"]
    }
    return dumps({**asked_for, "global": everywhere}, indent=2)


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


def _train(
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

        def announce(_run: Run) -> None:
            if print_run:
                with messages_to("stdout"):
                    say(str(path), exact=True)
            say(f"Run {path}")
            for suggestion in resolved.suggested if run_path is None else ():
                say(str(suggestion))
            say(engine)

        options: dict[str, Any] = {"device": device, "resume": run_path, "started": announce, "force": force}
        options |= {"trackers": trackers, "ranks": ranks}
        _train_in(path, config, messages if ranks.is_first else "silence", options)


def _train_in(run_path: Path, config: ModelConfig, messages: Place, options: dict[str, Any]) -> None:
    """Train in a directory that exists.

    Args:
        run_path: The directory.
        config: The run's config.
        messages: Where messages are printed.
        options: More arguments of ``train_diffusion_model``.
    """
    from core.commands.progress_bar import reporting
    from core.diffusion.model import Denoiser
    from core.diffusion.placeholder import placeholder_notice
    from core.diffusion.train import train_diffusion_model
    from core.utils.signals import StopSignals

    ranks: Ranks = options["ranks"]
    with (
        messages_to(messages),
        StopSignals(echo_s=ECHO_S if "SLURM_JOB_ID" in os.environ or not ranks.is_alone else 0.0) as signals,
        reporting(quiet=messages in {"nowhere", "silence"}) as progress,
        _no_empty_directory(run_path) if ranks.is_first else contextlib.nullcontext(),
        _resume_hint(run_path),
    ):
        if options["resume"] is not None:
            options["started"](None)
            options = {**options, "started": None}  # a new run is named once it exists
            if (change := _other_world_size(run_path, ranks)) is not None:
                say(change)
        model = train_diffusion_model(config, run_path, stop=signals.requested, progress=progress, **options)
        if not isinstance(model, Denoiser):
            say(placeholder_notice(config.model))
        say(f"Done. Evaluate it with: pyml-eval {run_path}")
        if config.validation_share and isinstance(model, Denoiser):
            say(f"Or the best checkpoint: pyml-eval {run_path} --checkpoint best")
        late = signals.requested(announce=False) if ranks.is_alone else None
    if late is not None:  # it came after the last step: this run is complete, but nothing is to follow
        late.add_note("The training had finished.")
        raise late


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
