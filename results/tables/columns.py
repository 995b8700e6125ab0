"""The columns of a table of groups: which there are, in which order, and how they are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from core.config.errors import unknown_name
from core.utils.results import ResultMetadata
from results.measures import is_wanted
from results.text.labels import printable, spell

FIELD, RUNS, MEASURE, WITHIN = "field", "runs", "measure", "within run"
GROUP = "group"  # the name of the column of short labels
MOST_FIELDS = 4
MOST_WIDTH = 60  # characters of all columns of fields together
ARROWS = {True: " ↑", False: " ↓", None: ""}


@frozen
class Column:
    """A column of a table.

    Attributes:
        kind: "field", "runs", "measure" or "within run".
        name: The name of the field, or the label of the measure.
        higher_is_better: The good direction of a measure, or None.
    """

    kind: str
    name: str
    higher_is_better: bool | None = None

    def title(self, names: Mapping[str, str]) -> str:
        """Return its heading, under its new name if it has one; of a measure with an arrow to the good direction."""
        if self.kind == WITHIN:
            return names.get(WITHIN, WITHIN)
        arrow = ARROWS[self.higher_is_better] if self.kind == MEASURE else ""
        return printable(names.get(self.name, self.name)) + arrow

    @property
    def is_text(self) -> bool:
        """Whether it holds words, which are aligned to the left."""
        return self.kind in {FIELD, RUNS}


def usual_columns(fields: Iterable[str], measures: Mapping[ResultMetadata, str], *, within: bool) -> tuple[Column, ...]:
    """Return the columns of a table by default: fields, runs, and each measure with the error within a run."""
    columns = [*(Column(FIELD, name) for name in fields), Column(RUNS, RUNS)]
    for metadata, label in measures.items():
        columns.append(Column(MEASURE, label, metadata.higher_is_better))
        columns += [Column(WITHIN, label)] if within else []
    return tuple(columns)


def chosen_columns(
    wanted: Sequence[str],
    things: Sequence[Mapping[str, Any]],
    measures: Mapping[ResultMetadata, str],
    others: Iterable[str] = (),
) -> tuple[tuple[Column, ...], list[str]]:
    """Return the columns that were asked for, and the fields among them.

    Args:
        wanted: Names of columns, from left to right.
        things: The fields of each group.
        measures: The measures of the table with their labels.
        others: Labels of further measures, for the message about an unknown name.

    Raises:
        ConfigError: There is no such field, measure, "group" or "runs"; the nearest one is suggested.
    """
    fields = dict.fromkeys(name for thing in things for name in thing)
    columns: list[Column] = []
    for name in wanted:
        if name == RUNS:
            columns.append(Column(RUNS, RUNS))
        elif name == GROUP or name in fields:
            columns.append(Column(FIELD, name))
        else:
            found = [metadata for metadata, label in measures.items() if is_wanted(label, metadata.name, [name])]
            if not found:
                raise unknown_name("column", name, {*fields, GROUP, RUNS, *others, *measures.values()})
            columns += [Column(MEASURE, measures[metadata], metadata.higher_is_better) for metadata in found]
    columns = list(dict.fromkeys(columns))
    return tuple(columns), [column.name for column in columns if column.kind == FIELD]


def check_names(names: Mapping[str, str], columns: Iterable[Column]) -> None:
    """Check that each renamed column exists.

    Raises:
        ConfigError: It does not; the nearest one is suggested.
    """
    known = {WITHIN if column.kind == WITHIN else column.name for column in columns}
    for name in names:
        if name not in known:
            raise unknown_name("column to rename", name, known)


def is_wide(things: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> bool:
    """Return whether the columns of these fields would not leave room for results on a page."""
    widths = [max(len(name), *(len(spell(thing.get(name, "-"))) for thing in things)) for name in fields]
    return len(fields) > MOST_FIELDS or sum(widths) > MOST_WIDTH
