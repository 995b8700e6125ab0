"""Shared by the commands that mark runs: selects the runs, and changes tags.json of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve

from core.config.errors import ConfigError
from core.runs.files import Fault
from core.runs.tags import Tags, held_tags, read_tags, save_tags
from results.commands import shared
from results.run import Run

ACCEPTED = "a path, a run id, a unique prefix of an id, or latest; or --where CONDITION"


def chosen_runs(specs: Sequence[str], where: Sequence[str], experiments_dir: str | None) -> list[Run]:
    """Return the runs that are named and those that meet the conditions, each once.

    Raises:
        ConfigError: A name means no run or several, no run is given, or the tags of a run cannot be read.
    """
    found = [shared.find_run(spec, experiments_dir) for spec in specs]
    if where:
        found += shared.open_database(experiments_dir, where)
    if not found:
        raise ConfigError(f"got no run; accepted: {ACCEPTED}.")
    runs = list({run.path.resolve(): run for run in found}.values())
    _read_all(runs)
    return runs


def _read_all(runs: Sequence[Run]) -> list[Tags]:
    found = [read_tags(run.path) for run in runs]
    faults = [read for read in found if isinstance(read, Fault)]
    if faults:
        raise ConfigError(*(f"{fault}. Correct or remove the file." for fault in faults))
    return [read for read in found if isinstance(read, Tags)]


def set_archived(runs: Sequence[Run], *, archived: bool) -> list[str]:
    """Archive runs or bring them back, and return a line about each."""
    changing = [run for run in runs if run.tags.archived != archived]
    mark(changing, lambda tags: evolve(tags, archived=archived))
    done = "archived" if archived else "back in lists and tables"
    return [f"{run.id}: {done if run in changing else f'was {done} already'}" for run in runs]


def mark(runs: Sequence[Run], change: Callable[[Tags], Tags]) -> list[Tags]:
    """Change the tags.json of each run, and return the new contents.

    All changes are checked before the first file is written. The files are read again under a lock, so that two
    commands at the same moment keep the changes of both.

    Raises:
        ConfigError: A change is not accepted, or a file cannot be written; the message names the runs that were
            changed.
    """
    with held_tags(run.path for run in runs):
        new = [change(tags) for tags in _read_all(runs)]
        for i, (run, tags) in enumerate(zip(runs, new, strict=True)):
            try:
                save_tags(run.path, tags)
            except OSError as error:
                done = f" Changed before: {', '.join(other.id for other in runs[:i])}." if i else ""
                raise ConfigError(f"{run.path}: cannot be written ({error.strerror or error}).{done}") from None
    return new
