"""A table of groups: their config fields, their numbers of runs and each measure over runs.

The best value of a measure is marked only if its difference to every other value is resolved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean
from typing import Any

from attrs import frozen

from core.config.errors import ConfigError, unknown_name
from core.utils.results import ResultMetadata
from results.groups import SEED, Group, described
from results.over_runs import OverRuns, over_runs_text
from results.statistics.intervals import summarise
from results.text.labels import differing_names, printable, spell
from results.text.numbers import decimals_of
from results.text.proportions import interval_text

MISSING = "missing"


@frozen
class Cell:
    """A measure of a group.

    Attributes:
        over: The summary over runs; None if no finished run has the measure.
        is_best: The value is the best, and its difference to every other row is resolved.
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
        fields: The config fields in which the groups differ.
        measures: The measures with their labels.
        rows: One per group.
        error: The number after ±: "ci", half of the t interval over runs, or "se", the standard error over runs.
        level: Coverage of the interval. The best value is tested at significance level 1 - level.
        within: Also show the typical standard error within a run.
    """

    fields: tuple[str, ...]
    measures: Mapping[ResultMetadata, str]
    rows: tuple[Row, ...]
    error: str = "ci"
    level: float = 0.95
    within: bool = True

    def header(self) -> list[str]:
        """Return the names of the columns."""
        names = [*self.fields, "runs"]
        for label in self.measures.values():
            names += [label, "within run"] if self.within else [label]
        return names

    def texts(self, row: Row) -> list[str]:
        """Return a row's cells as text, without a mark for the best."""
        texts = [*row.fields, runs_text(row.group)]
        for cell in row.cells:
            texts.append(self.cell_text(row.group, cell))
            if self.within:
                texts.append(self.within_text(cell))
        return texts

    def best_columns(self, row: Row) -> set[int]:
        """Return the indices of the best cells in the list that ``texts`` returns."""
        first, step = len(self.fields) + 1, 2 if self.within else 1
        return {first + step * i for i, cell in enumerate(row.cells) if cell.is_best}

    def cell_text(self, group: Group, cell: Cell) -> str:
        """Return mean ± error over runs, or "missing". Runs that lack a result or are not finite are counted."""
        over = cell.over
        if over is None:
            return MISSING if group.replicates else ", ".join(group.left_out)
        text = over_runs_text(over, self.error)
        if over.n_lacking:
            text += f" (n={over.summary.n})"
        return text + (f" ({over.n_not_finite} of {over.summary.n} runs not finite)" if over.n_not_finite else "")

    def within_text(self, cell: Cell) -> str:
        """Return the typical error within a run, or Wilson's interval for a single run's proportion; "" for no run."""
        if cell.over is None:
            return ""
        if cell.over.proportion is not None:
            return interval_text(*cell.over.proportion, self.level)
        unit, error = cell.over.unit, cell.over.within_error
        return short_error(error) if math.isnan(error) else unit.named(short_error(error / unit.scale))

    def notes(self, mark: str) -> str:
        """Return a note that explains the numbers and the mark of the best value.

        Args:
            mark: How the best value is marked, such as "Bold" or "*".
        """
        level = f"{100 * self.level:g}%"
        over_runs = f"{level} t interval over runs" if self.error == "ci" else "standard error over runs"
        notes = [f"Mean ± {over_runs}; runs that differ only in seed are one row."]
        if self.within:
            notes.append("Within run: the typical standard error within one run, over its samples.")
        if self.within and any(cell.over and cell.over.proportion for row in self.rows for cell in row.cells):
            notes.append(f"Within one run's proportion: Wilson's {level} interval.")
        if any(cell.is_best for row in self.rows for cell in row.cells):
            notes.append(
                f"{mark}: the best. Its difference to every other row is resolved at {level} (two-sided t tests, "
                "paired over seeds if all rows have the same seeds, else Welch's)."
            )
        return " ".join(notes)


def make_table(
    groups: Sequence[Group],
    measures: Mapping[ResultMetadata, str],
    *,
    error: str = "ci",
    level: float = 0.95,
    within: bool = True,
    split_by: Sequence[str] = (),
) -> Table:
    """Return a table with the summary over runs of each group.

    Args:
        groups: The groups, one row each.
        measures: The measures with their labels.
        error: The number after ±: "ci", half of the t interval over runs, or "se", the standard error over runs.
        level: Coverage of the interval.
        within: Also show the typical standard error within a run.
        split_by: Fields of the environment by which the runs were also grouped. A field that differs is a column.
    """
    things = [described(group.runs[0], split_by) for group in groups]
    fields = differing_names(things) or ["model"]
    cells = []
    for metadata in measures:
        found = [group.over_runs(metadata, level) for group in groups]
        values = [group.values(metadata) for group in groups]
        best = marked_best(values, higher_is_better=metadata.higher_is_better, level=level)
        cells.append([Cell(over if over.summary.n else None, i == best) for i, over in enumerate(found)])
    rows = [
        Row(group, tuple(_text(thing, name) for name in fields), tuple(column[i] for column in cells))
        for i, (group, thing) in enumerate(zip(groups, things, strict=True))
    ]
    return Table(tuple(fields), measures, tuple(rows), error, level, within)


def marked_best(rows: Sequence[Mapping[Any, float]], *, higher_is_better: bool | None, level: float) -> int | None:
    """Return the index of the row that is the best in a measure, or None if that is not resolved.

    Its difference to every other row must be resolved, see :func:`results.statistics.best_marking.best_row`. The tests
    are paired over seeds if all rows have the same known seeds, else Welch's.

    Args:
        rows: The values of each group, by the key of the replicate. Empty rows are ignored.
        higher_is_better: The good direction; None marks no row.
        level: Confidence level. A row that is not the single best is marked with probability at most 1 - level.
    """
    present = {i: values for i, values in enumerate(rows) if values}
    if higher_is_better is None or len(present) < 2 or min(map(len, present.values())) < 2:
        return None
    if _is_surely_open(list(present.values()), higher_is_better, level):
        return None
    from results.statistics.best_marking import best_row

    seeds = list(next(iter(present.values())))
    is_paired = all(set(values) == set(seeds) for values in present.values())
    lists = [[values[seed] for seed in seeds] if is_paired else list(values.values()) for values in present.values()]
    found = best_row(lists, higher_is_better=higher_is_better, paired=is_paired, level=level)
    return list(present)[int(found.leader)] if bool(found.is_marked) else None


def _is_surely_open(rows: Sequence[Mapping[Any, float]], higher_is_better: bool, level: float) -> bool:
    """Return whether a normal test does not resolve the two leading rows, with their estimated spread as the true one.

    A t test has wider intervals, so it cannot resolve them either. For most tables this saves the import of SciPy,
    about 0.2 s.
    """
    if not all(math.isfinite(value) for values in rows for value in values.values()):
        return True
    leading = sorted(rows, key=lambda values: fmean(values.values()), reverse=higher_is_better)
    a, b = leading[:2]
    one, other = summarise(list(a.values())), summarise(list(b.values()))
    pairs = summarise([a[seed] - b[seed] for seed in a if seed in b])
    errors = [math.hypot(0.0 if one.is_constant else one.error, 0.0 if other.is_constant else other.error), pairs.error]
    differences = [one.mean - other.mean, pairs.mean]
    critical = NormalDist().inv_cdf(0.5 + level / 2)
    return not any(abs(d) >= critical * error for d, error in zip(differences, errors, strict=True))


def sort_groups(groups: Sequence[Group], by: str, measures: Mapping[ResultMetadata, str]) -> list[Group]:
    """Return the groups sorted by a measure's mean over runs or by a config field. Groups without a value come last.

    Raises:
        ConfigError: Neither a measure of the table nor a config field has this name, or its values are partly numbers
            and partly text.
    """
    metadata = next((metadata for metadata, label in measures.items() if by in {label, metadata.name}), None)
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
    decimals = decimals_of(error)
    return f"{error:.2g}" if decimals is None else f"{error:.{decimals}f}"


def _text(thing: Mapping[str, object], name: str) -> str:
    return printable(spell(thing[name])) if name in thing else "-"
