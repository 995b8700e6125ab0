"""``pyml merge``, and what ``pyml-eval --shard`` and torchrun share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core import __version__, plugins
from core.commands.target import find_run
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.config.options import debug_option, experiments_dir_option
from core.runs.completion import complete_runs
from core.utils.output import say

if TYPE_CHECKING:
    from core.diffusion.eval import Evaluator
    from core.utils.results import ResultCollection


def parse_share(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Return the number of the share, from 1, and the number of shares, from a text such as 3/8."""
    if text is None:
        return None
    first, slash, second = text.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise click.BadParameter(f"got {text!r}; accepted: I/N with I from 1 to N, such as 2/4.")
    return int(first), int(second)


def share_of_process() -> tuple[int, int] | None:
    """Return this process's share where torchrun started several, else None.

    Raises:
        ConfigError: RANK and WORLD_SIZE are set, but not to numbers that fit.
    """
    rank, world = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if rank is None or world is None or world == "1":
        return None
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        raise ConfigError(f"RANK={rank} and WORLD_SIZE={world} of the environment do not fit. Start with torchrun.")
    return int(rank) + 1, int(world)


def device_of_process(device: str) -> str:
    """Return the GPU of this process where torchrun started several and "auto" was asked for."""
    local_rank = os.environ.get("LOCAL_RANK", "")
    if device != "auto" or share_of_process() is None or not local_rank.isdecimal():
        return device
    import torch

    n_gpus = torch.cuda.device_count()
    return f"cuda:{int(local_rank) % n_gpus}" if n_gpus else "cpu"


def evaluate_share(evaluator: Evaluator, share: tuple[int, int]) -> ResultCollection | None:
    """Measure a share of an evaluation; return the merged results if it was the last one, else None."""
    from core.diffusion.sharding import ShardedEvaluation
    from core.runs.shards import is_merged, missing_shares, other_settings

    index, of = share
    sharded = ShardedEvaluation(evaluator)
    if is_merged(sharded.directory):
        say(
            f"Share {index}/{of}: this evaluation was merged before, so nothing was measured. "
            f"To evaluate again, delete {sharded.directory}."
        )
        return None
    sharded.measure(index, of)
    results = sharded.merge_if_complete(of)
    if results is None:
        missing = ", ".join(missing_shares(sharded.directory, of)) or "none"
        say(
            f"Share {index}/{of} is measured. Missing: {missing}. "
            f"The last share merges all; or use: pyml merge {evaluator.run_path}"
        )
        for difference in other_settings(sharded.directory, sharded.setting):
            say(f"The run has shares with other settings, which are not merged with this one ({difference}).", err=True)
    return results


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@experiments_dir_option
@debug_option
@click.version_option(__version__, prog_name=plugins.OURS)
def merge(run: str, experiments_dir: str | None) -> None:
    """Merge the shards of a run's evaluations into results.

    pyml-eval --shard I/N makes shards, and so does pyml-eval under torchrun. The last process merges them. Use this
    command if that process was stopped before it merged. If shards are missing, the command names them.
    """
    run_path, config, _ = find_run(run, None, experiments_dir)
    directories = _with_shards(run_path)
    faults: list[str] = []
    for directory in directories:
        try:
            results = _merge(directory, run_path, config)
        except ConfigError as error:
            place = f"{directory}: " if len(directories) > 1 else ""
            faults += [f"{place}{fault}" for fault in error.faults]
            continue
        say(f"\n{results}\n\nSaved in {run_path / 'results.jsonl'}")
    if faults:
        raise ConfigError(*faults)


def _with_shards(run_path: Path) -> list[Path]:
    from core.runs.shards import SHARDS

    found = sorted({path.parent for path in (run_path / SHARDS).glob("*/*.npz")})
    if not found:
        raise ConfigError(f"{run_path} has no shards to merge. Make them: pyml-eval RUN --shard 1/2, then 2/2.")
    return found


def _merge(directory: Path, run_path: Path, config: ModelConfig) -> ResultCollection:
    from core.commands.progress_bar import reporting
    from core.diffusion.sharding import ShardedEvaluation, evaluator_of
    from core.runs.shards import ShardError, exclusively, read_shards

    setting = read_shards(directory)[0].setting
    with reporting() as progress:
        evaluator = evaluator_of(setting, config, run_path, progress=progress, note=lambda text: say(text, err=True))
        sharded = ShardedEvaluation(evaluator)
        if sharded.directory != directory:
            raise ShardError(
                f"the shards in {directory} belong to another checkpoint, config or data than the run's. Delete them."
            )
        try:
            with exclusively(directory):
                return sharded.merge()
        except BlockingIOError:
            raise ShardError(f"another process is merging {directory}.") from None
