"""Select a group of runs from a command-line argument: a run, or conditions that the runs of one group meet."""

from __future__ import annotations

from collections.abc import Sequence

from core.config.errors import ConfigError
from results.database import ResultsDatabase
from results.expressions import is_condition
from results.groups import Group, described, group_runs
from results.text.labels import count, differing_names, printable, spell


def select_group(
    database: ResultsDatabase, spec: str, *, whole_group: bool = False, split_by: Sequence[str] = ()
) -> Group:
    """Return the group that a command-line argument names.

    Args:
        database: The runs to select from.
        spec: Conditions joined by ", ", " and " or " or ", such as a group's label. Or one run: a path, a run id, a
            unique prefix of an id, or ``latest``.
        whole_group: If ``spec`` names one run, select all runs that differ from it only in seed.
        split_by: Fields of the environment in which the runs of a group must also agree.

    Raises:
        ConfigError: No run matches, or runs of more than one group match. Runs of different groups are not replicates.
    """
    if not is_condition(spec):
        run = database.find(spec)
        if not whole_group:
            return Group([run], run.id)
        group = next(
            (g for g in group_runs(database, split_by) if any(one.id == run.id for one in g.runs)), Group([run])
        )
        return Group(group.runs, group.label or f"group of {run.id}", split_by)
    met = database.where(spec)
    groups = group_runs(met, split_by)
    if not groups and len(met) and all(run.status.state == "failed" for run in met):
        why = next((f": {run.status.reason}" for run in met if run.status.reason), "")
        raise ConfigError(f"{spec!r}: {count(len(met), 'run')}, which failed before the first step{printable(why)}.")
    if not groups:
        raise ConfigError(f"{spec!r}: none of the {len(database):,} runs meets it.")
    if len(groups) > 1:
        raise ConfigError(
            f"{spec!r} matches {len(groups)} groups, whose runs are not replicates of each other: they differ in "
            f"{_differing(groups, split_by)}. "
            f"Add a condition, such as {spec + ', ' + groups[0].label.split(', ')[0]!r}."
        )
    return Group(groups[0].runs, spec, split_by)


def _differing(groups: list[Group], split_by: Sequence[str]) -> str:
    """Return the fields in which groups differ, with their values, such as "learning_rate (0.001 or 0.0001)"."""
    things = [described(group.runs[0], split_by) for group in groups]
    parts = []
    for name in differing_names(things):
        values = list(dict.fromkeys(spell(thing[name]) if name in thing else "missing" for thing in things))
        parts.append(f"{name} ({' or '.join(values[:4])}{', ...' if len(values) > 4 else ''})")
    return "; ".join(parts)
