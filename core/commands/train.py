"""``pyml-train``: train a model in a run directory of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core import __version__, plugins
from core.commands.config_command import ConfigCommand, Resolved
from core.commands.ranks import RankCommand, is_first_here
from core.commands.seeds import with_seeds
from core.commands.shards import share_of_process
from core.commands.training_run import train_run
from core.config.errors import ConfigError
from core.config.options import debug_option, threads_option, workers_option
from core.runs.completion import complete_runs
from core.utils.output import Place, say
from core.utils.signals import RunInterrupted

if TYPE_CHECKING:
    from core.config.config import ModelConfig

#: And whatever changes only evaluations.
MAY_CHANGE_ON_RESUME = {"n_epochs", "checkpoint_every_epochs", "keep_every_epochs", "compile"}


@click.command(cls=RankCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML or JSON file with config fields.")
@click.option(
    "--resume",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Continue this run: a path, a run id, a unique prefix of an id, or latest.",
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
        train_run(configs[0], resolved, print_run, messages, run_path=run_path, run_id=run_id, force=force)
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
            train_run(config, resolved, print_run, messages)
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
