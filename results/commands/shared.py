"""Shared by the commands over many runs: options, opening the directory, and reporting unreadable files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from core.config.errors import ConfigError, unknown_name
from core.config.options import SummaryGroup, debug_option, experiments_dir_option
from core.runs.directory import resolve_run
from core.utils.output import put
from results.database import ResultsDatabase
from results.fields import OF_RUNS
from results.run import Run
from results.run_files import Fault

if TYPE_CHECKING:
    from results.groups import Group

Function = TypeVar("Function", bound=Callable[..., Any])

SETTINGS = {"help_option_names": ["-h", "--help"]}
MOST_FAULTS = 10
_ARCHIVED, _N_HIDDEN = "results.archived", "results.n_hidden"


class NearestNameGroup(SummaryGroup):
    """A command group that answers the name of an unknown command with the nearest one.

    Attributes:
        kind: What its commands are called in that message.
    """

    kind = "command"

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names; ConfigError with the nearest name if there is none."""
        if args[0] not in self.commands:
            raise unknown_name(self.kind, args[0], self.commands)
        return super().resolve_command(ctx, args)


def common_options(command: Function) -> Function:
    """Add --experiments-dir and --debug."""
    return experiments_dir_option(debug_option(command))


def where_option(command: Function) -> Function:
    """Add --where and --archived. ``open_database`` sees --archived itself, so that commands need not pass it on."""
    archived = click.option(
        "--archived",
        is_flag=True,
        expose_value=False,
        callback=_keep_archived,
        help="Also use archived runs, which are left out otherwise.",
    )
    where = click.option(
        "--where",
        metavar="CONDITION",
        multiple=True,
        help="Use only runs that meet this condition, such as model=unet, 'learning_rate<1e-3', 'model=un*', 'seed in "
        "1,2', 'started>=2026-11-01' or 'no dropout'. Join conditions by and / or. A field is a config field, "
        f"a measure, {', '.join(OF_RUNS)}, a field of the environment (such as device) or of a protocol (such as "
        "protocol.split). A run without the field does not meet the condition. May be repeated.",
    )
    return where(archived(command))


def _keep_archived(context: click.Context, _parameter: click.Parameter, is_wanted: bool) -> None:
    context.meta[_ARCHIVED] = is_wanted


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
        help="Fail if the runs differ in commit, uncommitted changes, PyTorch version, device or evaluated weights.",
    )(command)


def refuse_mixed(mixed: Mapping[str, Mapping[str, int]], strict: bool) -> None:
    """Raise an error if ``strict`` is set and the runs or their results mix something.

    Raises:
        ConfigError: ``strict`` is set and something is mixed. The message names the fields and values.
    """
    from results.hidden_differences import mixed_remedy, mixed_text

    if strict and mixed:
        raise ConfigError(f"--strict: the runs differ: {mixed_text(mixed)}. {mixed_remedy(mixed)}.")


def open_database(experiments_dir: str | None, where: Sequence[str] = ()) -> ResultsDatabase:
    """Open the experiments directory and return the runs that meet the conditions.

    Raises:
        ConfigError: The directory does not exist or holds no run, a condition is invalid, or no run meets them all.
    """
    database = ResultsDatabase(_directory(experiments_dir))
    if not len(database):
        raise ConfigError(
            f"{database.experiments_dir}: holds no run yet. Try the folder in which your runs started, or "
            "--experiments-dir DIR."
        )
    visible = _visible(database, where)
    if not len(visible):
        raise ConfigError(f"{database.experiments_dir}: all {len(database):,} runs are archived. Try: --archived.")
    chosen = visible.where(*where)
    if not len(chosen):
        conditions = " and ".join(where)
        from results.selection import why_none  # here, because it imports NumPy, which most calls do not need

        why = "".join(why_none(visible, each) for each in where)
        hidden = f" {hidden_note()}" if hidden_note() else ""
        raise ConfigError(
            f"{database.experiments_dir}: none of the {len(visible):,} runs meets {conditions}.{why}{hidden}"
        )
    return chosen


def _visible(database: ResultsDatabase, where: Sequence[str]) -> ResultsDatabase:
    """Return the runs that are not archived; all of them with --archived, or if a condition is about it."""
    context = click.get_current_context(silent=True)
    meta = {} if context is None else context.meta
    if meta.get(_ARCHIVED) or any("archived" in text for text in where):
        return database
    visible = database.only(run for run in database if not run.tags.archived)
    meta[_N_HIDDEN] = len(database) - len(visible)
    return visible


@contextlib.contextmanager
def reporting_faults(groups: Iterable[Group]) -> Iterator[None]:
    """Report at the end what could not be read of the groups' runs, also after an error: it may be the reason."""
    try:
        yield
    finally:
        report_faults([fault for group in groups for run in group.runs for fault in run.faults])


def hidden_note() -> str:
    """Return how many archived runs this command leaves out, with the option that shows them; "" for none."""
    context = click.get_current_context(silent=True)
    n = 0 if context is None else context.meta.get(_N_HIDDEN, 0)
    return f"{n:,} archived run{'s are' if n > 1 else ' is'} left out: --archived." if n else ""


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
