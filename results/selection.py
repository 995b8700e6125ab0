"""Select a group of runs from a command-line argument: a run, or conditions that the runs of one group meet."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from core.config.errors import ConfigError
from results.conditions import Condition
from results.database import ResultsDatabase
from results.expressions import is_condition, parse_expression
from results.fields import MISSING, as_text
from results.groups import Group, described, group_runs
from results.run import Run
from results.text.labels import count, differing_names, printable, spell

MOST_VALUES = 6


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
        run = _find(database, spec)
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
        raise ConfigError(f"{spec!r}: none of the {len(database):,} runs meets it.{why_none(database, spec)}")
    if len(groups) > 1:
        raise ConfigError(
            f"{spec!r} matches {len(groups)} groups, whose runs are not replicates of each other: they differ in "
            f"{_differing(groups, split_by)}. "
            f"Add a condition, such as {spec + ', ' + groups[0].label.split(', ')[0]!r}."
        )
    return Group(groups[0].runs, spec, split_by)


def _find(database: ResultsDatabase, spec: str) -> Run:
    try:
        return database.find(spec)
    except ConfigError as error:
        raise ConfigError(f"{error} Runs can be selected by conditions, too, such as FIELD=VALUE.") from None


def why_none(database: ResultsDatabase, spec: str) -> str:
    """Return the values there are of each field whose condition no run meets, as sentences; "" if each is met."""
    parts = [part for alternative in parse_expression(spec) for part in alternative]
    found = [_values_instead(database, condition) for condition in map(database.reading, parts)]
    return "".join(f" {text}" for text in dict.fromkeys(found) if text)


def _values_instead(database: ResultsDatabase, condition: Condition) -> str:
    if len(database.where(condition.text)):
        return ""
    if is_condition(condition.wanted):
        return f"{condition.text!r} is one condition; separate conditions by commas or by and."
    values = [value for _, value in database.values_of(condition.field) if value is not MISSING]
    with contextlib.suppress(TypeError):  # values of several types stay in the order of the runs
        values.sort()
    known = list(dict.fromkeys(spell(as_text(value)) for value in values))
    more = ", ..." if len(known) > MOST_VALUES else ""
    return f"Values of {condition.field}: {', '.join(known[:MOST_VALUES])}{more}." if known else ""


def _differing(groups: list[Group], split_by: Sequence[str]) -> str:
    """Return the fields in which groups differ, with their values, such as "learning_rate (0.001 or 0.0001)"."""
    things = [described(group.runs[0], split_by) for group in groups]
    parts = []
    for name in differing_names(things):
        values = list(dict.fromkeys(spell(thing[name]) if name in thing else "missing" for thing in things))
        parts.append(f"{name} ({' or '.join(values[:4])}{', ...' if len(values) > 4 else ''})")
    return "; ".join(parts)
