"""Shared by the commands over many runs: options, opening the directory, and reporting unreadable files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from core.config.errors import ConfigError
from core.config.options import debug_option, experiments_dir_option
from core.runs.directory import resolve_run
from core.utils.output import put
from results.database import ResultsDatabase
from results.run import Run
from results.run_files import Fault

Function = TypeVar("Function", bound=Callable[..., Any])

SETTINGS = {"help_option_names": ["-h", "--help"]}
MOST_FAULTS = 10


def common_options(command: Function) -> Function:
    """Add --experiments-dir and --debug."""
    return experiments_dir_option(debug_option(command))


def where_option(command: Function) -> Function:
    """Add --where."""
    return click.option(
        "--where",
        metavar="CONDITION",
        multiple=True,
        help="Use only runs that meet this condition, such as model=unet or 'learning_rate<1e-3' (=, !=, <, <=, >, >= "
        "on a config field, id, status, a measure or a field of the environment such as device); may be repeated.",
    )(command)


def metric_option(command: Function) -> Function:
    """Add --metric."""
    return click.option(
        "--metric",
        "metrics",
        metavar="NAME",
        multiple=True,
        help="Measures to show, by name or label; * matches any text; may be repeated.",
    )(command)


def level_option(command: Function) -> Function:
    """Add --level, a number between 0 and 1."""
    return click.option(
        "--level",
        metavar="L",
        type=float,
        default=0.95,
        show_default=True,
        callback=_checked_level,
        help="Confidence level of the intervals, between 0 and 1.",
    )(command)


def _checked_level(_context: click.Context, _parameter: click.Parameter, level: float) -> float:
    if not 0 < level < 1:
        raise ConfigError(f"--level: got {level:g}; accepted: a number between 0 and 1, such as 0.95.")
    return level


def split_by_option(command: Function) -> Function:
    """Add --split-by."""
    return click.option(
        "--split-by",
        metavar="FIELD",
        multiple=True,
        help="Also group runs by this field of the environment: git_commit, git_dirty, torch, device, host, python or "
        "platform; may be repeated.",
    )(command)


def strict_option(command: Function) -> Function:
    """Add --strict."""
    return click.option(
        "--strict",
        is_flag=True,
        help="Fail if the runs differ in commit, uncommitted changes, PyTorch version or device.",
    )(command)


def refuse_mixed(mixed: Mapping[str, Mapping[str, int]], strict: bool) -> None:
    """Raise an error if ``strict`` is set and the runs have different environments.

    Raises:
        ConfigError: ``strict`` is set and the runs differ. The message names the fields and values.
    """
    from results.environments import mixed_text

    if strict and mixed:
        raise ConfigError(
            f"--strict: the runs have different environments: {mixed_text(mixed)}. Separate them with --split-by FIELD."
        )


def open_database(experiments_dir: str | None, where: Sequence[str] = ()) -> ResultsDatabase:
    """Open the experiments directory and return the runs that meet the conditions.

    Raises:
        ConfigError: The directory does not exist or holds no run, a condition is invalid, or no run meets them all.
    """
    database = ResultsDatabase(_directory(experiments_dir))
    if not len(database):
        raise ConfigError(f"{database.experiments_dir}: holds no run yet. Try: pyml-train, or --experiments-dir DIR.")
    chosen = database.where(*where)
    if not len(chosen):
        conditions = " and ".join(where)
        raise ConfigError(f"{database.experiments_dir}: none of the {len(database):,} runs meets {conditions}.")
    return chosen


def find_run(spec: str, experiments_dir: str | None) -> Run:
    """Return the run with this path, id or unique prefix of an id; ``latest`` names the newest run.

    Raises:
        ConfigError: No run matches, or more than one does.
    """
    return Run(resolve_run(spec, _directory(experiments_dir)))


def _directory(experiments_dir: str | None) -> Path:
    from core.config.config import GlobalConfig

    return Path(experiments_dir) if experiments_dir else GlobalConfig().experiments_dir


def count_of_more(n_shown: int, n_measures: int) -> str:
    """Return how many measures are not shown, with the option that shows them; "" if all are shown."""
    n_more = n_measures - n_shown
    return f"{n_more} more measure{'s' * (n_more > 1)}: --metric NAME, or --metric '*' for all." if n_more > 0 else ""


def report_faults(faults: Sequence[Fault]) -> None:
    """Print what could not be read to stderr, at most ``MOST_FAULTS`` lines."""
    for fault in faults[:MOST_FAULTS]:
        put(f"Could not be read: {fault}", err=True)
    if len(faults) > MOST_FAULTS:
        put(f"Could not be read: {len(faults) - MOST_FAULTS:,} more", err=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically and print its path.

    Raises:
        ConfigError: The file cannot be written.
    """
    from core.runs.files import write_atomic

    try:
        write_atomic(path, content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error}).") from None
    put(f"Written: {path}")
