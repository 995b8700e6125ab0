"""A table of groups: their config fields, their numbers of runs and each measure over runs.

The best value of a measure is marked only if its difference to every other value is significant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import field, frozen

from core.config.errors import ConfigError, unknown_name
from core.utils.results import ResultMetadata
from results.groups import SEED, Group, described
from results.over_runs import OverRuns, over_runs_text
from results.tables.best import marked_best
from results.tables.columns import (
    FIELD,
    GROUP,
    MEASURE,
    RUNS,
    WITHIN,
    Column,
    check_names,
    chosen_columns,
    is_wide,
    usual_columns,
)
from results.text.durations import Unit
from results.text.labels import printable, spell
from results.text.numbers import cut_at
from results.text.proportions import interval_text
from results.text.short_labels import distinguishing_fields, short_labels

MISSING = "missing"


@frozen
class Cell:
    """A measure of a group.

    Attributes:
        over: The summary over runs; None if no finished run has the measure.
        is_best: The value is the best, and its difference to every other row is significant.
    """

    over: OverRuns | None
    is_best: bool = False


@frozen
class Row:
    """One group: the group, its values of the table's fields, and a cell per measure."""

    group: Group
    fields: tuple[str, ...]
    cells: tuple[Cell, ...]


@frozen
class Table:
    """A table that can be written in any format.

    Attributes:
        fields: The names of the fields whose values the rows hold.
        measures: The measures with their labels.
        rows: One per group.
        error: The number after ±: "ci", half of the t interval over runs, or "se", the standard error over runs.
        level: Coverage of the interval. The best value is tested at significance level 1 - level.
        within: Also show the typical standard error within a run.
        order: The columns from left to right; empty for fields, runs, measures.
        names: New names of columns, by the old ones.
        remarks: Sentences about the rows, such as what short labels stand for.
    """

    fields: tuple[str, ...]
    measures: Mapping[ResultMetadata, str]
    rows: tuple[Row, ...]
    error: str = "ci"
    level: float = 0.95
    within: bool = True
    order: tuple[Column, ...] = ()
    names: Mapping[str, str] = field(factory=dict)
    remarks: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns from left to right."""
        return self.order or usual_columns(self.fields, self.measures, within=self.within)

    def header(self) -> list[str]:
        """Return the names of the columns; ↓ and ↑ after a measure say which direction is good."""
        return [column.title(self.names) for column in self.columns]

    def texts(self, row: Row) -> list[str]:
        """Return a row's cells as text, without a mark for the best."""
        return [self.text(row, column) for column in self.columns]

    def text(self, row: Row, column: Column, unit: Unit | None = None) -> str:
        """Return one cell as text, without a mark for the best.

        Args:
            row: The row.
            column: One of ``columns``.
            unit: The unit of a measure's numbers; None for the one that suits the cell.
        """
        if column.kind == FIELD:
            return row.fields[self.fields.index(column.name)]
        if column.kind == RUNS:
            return runs_text(row.group)
        cell = self.cell_of(row, column)
        return self.within_text(cell, unit) if column.kind == WITHIN else self.cell_text(row.group, cell, unit)

    def cell_of(self, row: Row, column: Column) -> Cell:
        """Return the cell of a measure's column."""
        return row.cells[self._places[column.name]]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {label: i for i, label in enumerate(self.measures.values())}

    def best_columns(self, row: Row) -> set[int]:
        """Return the indices of the best cells in the list that ``texts`` returns."""
        return {i for i, one in enumerate(self.columns) if one.kind == MEASURE and self.cell_of(row, one).is_best}

    def cell_text(self, group: Group, cell: Cell, unit: Unit | None = None) -> str:
        """Return mean ± error over runs, or "missing". Runs that lack a result or are not finite are counted."""
        over = cell.over
        if over is None:
            return MISSING if group.replicates else ", ".join(group.left_out)
        text = over_runs_text(over, self.error, unit)
        if over.n_lacking:
            text += f" (n={over.summary.n})"
        text += f" ({over.nan_text})" if over.nan_text else ""
        return text + (f" ({over.n_not_finite} of {over.summary.n} runs not finite)" if over.n_not_finite else "")

    def within_text(self, cell: Cell, unit: Unit | None = None) -> str:
        """Return the typical error within a run, or Wilson's interval for a single run's proportion; "" for no run."""
        if cell.over is None:
            return ""
        if cell.over.proportion is not None:
            return interval_text(*cell.over.proportion, self.level)
        unit, error = unit or cell.over.unit, cell.over.within_error
        return short_error(error) if math.isnan(error) else unit.named(short_error(error / unit.scale))

    def notes(self, mark: str) -> str:
        """Return a note that explains the numbers and the mark of the best value.

        Args:
            mark: How the best value is marked, such as "Bold" or "*".
        """
        level = f"{100 * self.level:g}%"
        over_runs = f"{level} t interval over runs" if self.error == "ci" else "standard error over runs"
        notes = [*self.remarks, f"Mean ± {over_runs}; runs that differ only in seed are one row."]
        shows_within = any(column.kind == WITHIN for column in self.columns)
        if shows_within:
            notes.append("Within run: the typical standard error within one run, over its samples.")
        if shows_within and any(cell.over and cell.over.proportion for row in self.rows for cell in row.cells):
            notes.append(f"Within one run's proportion: Wilson's {level} interval.")
        if any(cell.is_best for row in self.rows for cell in row.cells):
            notes.append(
                f"{mark}: the best. Its difference to every other row is significant at {level} (two-sided t tests, "
                "paired over seeds if all rows have the same seeds, else Welch's)."
            )
            if len(self.rows[0].cells) > 1:
                notes.append("Each measure is tested by itself: of many, a few may have a false mark; see compare.")
        return " ".join(notes)


def make_table(
    groups: Sequence[Group],
    measures: Mapping[ResultMetadata, str],
    *,
    error: str = "ci",
    level: float = 0.95,
    within: bool = True,
    split_by: Sequence[str] = (),
    columns: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    short: bool = False,
    others: Iterable[str] = (),
) -> Table:
    """Return a table with the summary over runs of each group.

    Args:
        groups: The groups, one row each.
        measures: The measures with their labels.
        error: The number after ±: "ci", half of the t interval over runs, or "se", the standard error over runs.
        level: Coverage of the interval.
        within: Also show the typical standard error within a run.
        split_by: Fields of the environment by which the runs were also grouped. A field that differs is a column.
        columns: The columns from left to right: fields, "group", "runs" or labels of the measures; none for the fields
            in which the groups differ, the runs and all measures.
        names: New names of columns, by the old ones.
        short: Show one column of short labels with a legend in place of many columns of fields.
        others: Labels of measures that the table does not show, for the message about an unknown column.

    Raises:
        ConfigError: There is no column of such a name; the nearest one is suggested.
    """
    things = [described(group.runs[0], split_by) for group in groups]
    order, fields = chosen_columns(columns, things, measures, others)
    remarks: list[str] = []
    if not columns:
        fields = distinguishing_fields(things) or ["model"]
        if short and is_wide(things, fields):
            labels = short_labels(things)
            fields, remarks = [GROUP], [f"{line}." for line in labels.legend]
            remarks += [labels.note()] if labels.note() else []
    check_names(names or {}, order or usual_columns(fields, measures, within=within))
    if GROUP in fields:
        things = [{**thing, GROUP: name} for thing, name in zip(things, short_labels(things).names, strict=True)]
    cells = [_column(groups, metadata, level) for metadata in measures]
    rows = [
        Row(group, tuple(_text(thing, name) for name in fields), tuple(column[i] for column in cells))
        for i, (group, thing) in enumerate(zip(groups, things, strict=True))
    ]
    return Table(
        tuple(fields), measures, tuple(rows), error, level, within, order, names or {}, tuple(map(printable, remarks))
    )


def _column(groups: Sequence[Group], metadata: ResultMetadata, level: float) -> list[Cell]:
    """Return the cell of each group in one measure; the best is marked if it is significantly better than all."""
    found = [group.over_runs(metadata, level) for group in groups]
    values = [group.values(metadata) for group in groups]
    best = marked_best(values, higher_is_better=metadata.higher_is_better, level=level)
    return [Cell(over if over.summary.n else None, i == best) for i, over in enumerate(found)]


def sort_groups(groups: Sequence[Group], by: str, measures: Mapping[ResultMetadata, str]) -> list[Group]:
    """Return the groups sorted by a measure's mean over runs or by a config field. Groups without a value come last.

    Raises:
        ConfigError: Neither a measure of the table nor a config field has this name, several measures have it, or its
            values are partly numbers and partly text.
    """
    named = [metadata for metadata, label in measures.items() if by == label]
    named = named or [metadata for metadata in measures if metadata.name == by]
    if len(named) > 1:
        which = ", ".join(repr(measures[metadata]) for metadata in named)
        raise ConfigError(f"--sort {by}: names {which}. Give one of these.")
    metadata = named[0] if named else None
    known = {name for group in groups for name in group.config} - {SEED}
    if metadata is None and by not in known:
        raise unknown_name("field or measure of the table", by, known | set(measures.values()))

    def value(group: Group) -> Any:
        if metadata is not None:
            mean = group.over_runs(metadata).summary.mean
            return None if math.isnan(mean) else mean
        found = group.config.get(by)
        return found if isinstance(found, int | float) else None if found is None else spell(found)

    values = [(group, value(group)) for group in groups]
    present = [(group, found) for group, found in values if found is not None]
    if len({isinstance(found, str) for _, found in present}) > 1:
        raise ConfigError(f"--sort {by}: some values are numbers and some are text.")
    present.sort(key=lambda pair: pair[1])
    return [group for group, _ in present] + [group for group, found in values if found is None]


def runs_text(group: Group) -> str:
    """Return the number of replicates, and of the runs that do not count, such as "5 + 1 failed"."""
    parts = [str(len(group.replicates)), *(f"{n} {state}" for state, n in group.left_out.items())]
    if group.n_repeated:
        parts.append(f"{group.n_repeated} repeated")
    return " + ".join(parts)


def short_error(error: float) -> str:
    """Return an error with two significant digits, or "unknown" for NaN."""
    if math.isnan(error):
        return "unknown"
    return cut_at(error, error)


def _text(thing: Mapping[str, object], name: str) -> str:
    return printable(spell(thing[name])) if name in thing else "-"
