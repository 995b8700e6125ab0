"""``python -m core sweep``: many configs from one command."""

from __future__ import annotations

import contextlib
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from core import plugins
from core.commands.config_command import ConfigCommand
from core.commands.ranks import reported_once
from core.commands.shards import share_of_process
from core.config.config import GlobalConfig
from core.config.errors import ConfigError
from core.config.load import Layer, build_config
from core.config.options import SummaryGroup, debug_option, experiments_dir_option
from core.utils.output import say

if TYPE_CHECKING:
    from core.sweeps.sweep import Sweep

SETTINGS = {"help_option_names": ["-h", "--help"]}


class SweepGroup(SummaryGroup):
    """A group in which ``sweep ARGUMENTS`` means ``sweep start ARGUMENTS``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``start`` before arguments that name no command of the group."""
        asks_for_help = not args or args[0] in {"-h", "--help"}
        return super().parse_args(ctx, args if asks_for_help or args[0] in self.commands else ["start", *args])


class SweepCommand(ConfigCommand):
    """Offers the fields of the config as options, whose values hold for every run of the sweep.

    The callback finds in ``ctx.meta[PARTS]`` the layers that all runs share, the GlobalConfig, and the values to sweep
    over by field.
    """

    PARTS = "pyml.sweep_parts"

    def resolve(self, ctx: click.Context) -> None:
        """Keep the layers apart: they are built into one config per combination of values."""
        from core.sweeps.grid import file_axes, parse_axis

        file, file_everywhere = ctx.meta[self._FILE]
        fields = dict(file.values)
        axes = file_axes(fields.pop("sweep", {}), file.source)
        for text in ctx.params["axes"]:
            name, values = parse_axis(text)
            axes[name] = values
        line, line_everywhere = self.given(ctx)
        everywhere = build_config(GlobalConfig, file_everywhere, line_everywhere)
        ctx.meta[self.PARTS] = [attrs.evolve(file, values=fields), line], everywhere, axes


jobs_option = click.option(
    "--jobs",
    "n_jobs",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Largest number of runs at one time.",
)
slurm_option = click.option(
    "--slurm",
    "slurm",
    metavar="NAME=VALUE",
    multiple=True,
    help="Submit to Slurm, with this option of sbatch; may be repeated.",
)
detach_option = click.option("--detach", is_flag=True, help="Return at once; the sweep continues in the background.")


@click.group(cls=SweepGroup, context_settings=SETTINGS)
def sweep() -> None:
    """Train every combination of the given values, each as a run of its own.

    \b
    pyml sweep --model unet learning_rate=1e-4,3e-4 seed=0..4 --jobs 2
    pyml sweep status NAME     pyml sweep resume NAME     pyml sweep cancel NAME

    All other fields are options, as for pyml-train.
    """
    with reported_once():
        if share_of_process() is not None:
            raise click.UsageError("a sweep starts its own processes. Start it without torchrun.")


@sweep.command(cls=SweepCommand, context_settings=SETTINGS)
@click.argument("axes", metavar="FIELD=VALUES...", nargs=-1)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML or JSON file of config fields; its table [sweep] holds values to sweep over.",
)
@click.option("--name", metavar="NAME", help="Name of the sweep.  [default: the time]")
@jobs_option
@click.option("--evaluate", is_flag=True, help="Evaluate each run after its training.")
@detach_option
@slurm_option
@click.option("--dry-run", is_flag=True, help="Print the configs and stop.")
@debug_option
@click.pass_context
def start(
    ctx: click.Context,
    /,
    name: str | None,
    n_jobs: int,
    evaluate: bool,
    detach: bool,
    slurm: tuple[str, ...],
    dry_run: bool,
    **_fields: Any,
) -> None:
    """Write the list of configs, then start the runs that are missing, failed, interrupted or dead.

    VALUES are separated by commas; A..B stands for the integers from A to B. If the values
    contain commas, separate them by semicolons: hidden_layer_sizes=256,256;512,512. The same command, started again,
    continues where it stopped.
    """
    from core.commands import sweep_launcher
    from core.sweeps import text
    from core.sweeps.grid import build_configs, suggestions_in
    from core.sweeps.sweep import create_sweep

    layers, everywhere, values = ctx.meta[SweepCommand.PARTS]
    if not values:
        raise ConfigError(
            "sweep: no FIELD=VALUES was given. Try: pyml sweep --model mlp learning_rate=1e-4,1e-3 seed=0..4"
        )
    configs = build_configs(layers, values)
    for suggestion in suggestions_in(layers, values):
        say(str(suggestion))
    if dry_run:
        say(text.list_configs(configs, list(values)))
        return
    sweep_launcher.check_machine(slurm)
    for tracker in everywhere.tracker:
        plugins.load(plugins.TRACKERS, tracker)
    made = create_sweep(name or f"{datetime.now(UTC):%Y%m%dT%H%M%S}", configs, everywhere, evaluate=evaluate)
    say(f"Sweep {made.name}: {len(made.jobs)} configs in {made.path / 'sweep.json'}")
    sweep_launcher.launch(made, n_jobs, detach=detach, slurm_options=slurm)


@sweep.command(context_settings=SETTINGS)
@click.argument("name")
@jobs_option
@detach_option
@slurm_option
@experiments_dir_option
@debug_option
def resume(name: str, n_jobs: int, detach: bool, slurm: tuple[str, ...], experiments_dir: str | None) -> None:
    """Start the runs of a sweep that are missing, failed, interrupted or dead."""
    from core.commands import sweep_launcher

    sweep_launcher.check_machine(slurm)
    sweep_launcher.launch(_find(name, experiments_dir), n_jobs, detach=detach, slurm_options=slurm)


@sweep.command(context_settings=SETTINGS)
@click.argument("name", required=False)
@experiments_dir_option
def status(name: str | None, experiments_dir: str | None) -> None:
    """Print the status of each run of a sweep; without NAME, list the sweeps."""
    from core.sweeps import text
    from core.sweeps.sweep import find_sweep, sweep_names

    where = _where(experiments_dir)
    names = [name] if name else sweep_names(where)
    if not names:
        say(f"No sweep in {where}. Start one with: pyml sweep --model mlp learning_rate=1e-4,1e-3 seed=0..4")
        return
    if name:
        say(text.describe(find_sweep(name, where)))
        return
    found: list[Sweep] = []
    faults: list[str] = []
    for each in names:
        try:
            found.append(find_sweep(each, where))
        except ConfigError as error:  # it hides no other sweep
            faults += error.faults
    say(text.list_sweeps(found))
    if faults:
        raise ConfigError(*faults)


@sweep.command(context_settings=SETTINGS)
@click.argument("name")
@experiments_dir_option
def cancel(name: str, experiments_dir: str | None) -> None:
    """Stop a sweep; its runs write a checkpoint, and resume continues from there."""
    from core.sweeps import slurm
    from core.sweeps.runner import runner_pid

    found = _find(name, experiments_dir)
    pid = runner_pid(found)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        say(f"Asked process {pid} to stop; its runs leave a checkpoint.")
    elif ids := slurm.cancel(found):
        say(f"Cancelled the Slurm jobs {', '.join(ids)}.")
    elif orphans := _stop_runs(found):
        say(f"Asked {orphans} running runs to stop; they leave a checkpoint.")
    else:
        say(f"Nothing of sweep {name!r} runs on this machine.")


def _stop_runs(found: Sweep) -> int:
    """Ask the runs of a sweep whose runner was killed to stop; return how many were asked."""
    pids = [pid for job in found.jobs if (pid := found.pid(job)) is not None]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    return len(pids)


def _where(experiments_dir: str | None) -> Path:
    given = {} if experiments_dir is None else {"experiments_dir": experiments_dir}
    return build_config(GlobalConfig, Layer("command line", given, is_text=True)).experiments_dir


def _find(name: str, experiments_dir: str | None) -> Sweep:
    from core.sweeps.sweep import find_sweep

    return find_sweep(name, _where(experiments_dir))
