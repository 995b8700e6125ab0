"""``python -m core runs``: list, show, diff and export."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import evolve, frozen

from core.runs.completion import complete_runs
from core.utils.output import put
from results.commands import shared

if TYPE_CHECKING:
    from results.database import ResultsDatabase

N_MEASURES = 3
_AROUND = 7  # lines of a list that are no runs: header, rule, footer, notes


class _WithDefault(shared.NearestNameGroup):
    """A command group whose default command is ``list``: ``runs --reverse`` means ``runs list --reverse``."""

    kind = "command of runs"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in {"-h", "--help"}):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_WithDefault, context_settings=shared.SETTINGS)
def runs() -> None:
    """List runs with their status and main results, show one run in full, compare two runs, or export all runs.

    Default command: list.
    """


@runs.command("list", context_settings=shared.SETTINGS)
@shared.where_option
@click.option(
    "--sort",
    metavar="FIELD",
    default="id",
    help="Sort by id, status, a config field or a measure; runs without a value come last.",
)
@click.option("--reverse", is_flag=True, help="Reverse the order.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1),
    help="Show only the newest N runs; with --sort or --reverse, the first N rows.",
)
@click.option(
    "--field",
    "fields",
    metavar="NAME",
    multiple=True,
    help="Also show this field: a config field, a field of the environment, started, reason, note and so on. "
    "May be repeated.",
)
@shared.metric_option
@click.option("--watch", is_flag=True, help="Show the newest runs again every few seconds, until Ctrl-C.")
@shared.common_options
def list_(
    where: tuple[str, ...],
    sort: str,
    reverse: bool,
    limit: int | None,
    fields: tuple[str, ...],
    metrics: tuple[str, ...],
    watch: bool,
    experiments_dir: str | None,
) -> None:
    """List runs: id, model, seed, status, age, duration and main results with the standard error within the run."""
    asked = _List(where, sort, reverse, limit, fields, metrics)
    if not watch:
        database, text = _listed(asked, experiments_dir)
        put(text)
        shared.report_faults(database.faults)
        return
    from results.watch import redraw

    def draw(n_lines: int) -> str:
        rows = max(n_lines - _AROUND, 1)
        shown = evolve(asked, limit=min(rows, limit or rows))
        return _listed(shown, experiments_dir)[1]

    redraw(draw)


@frozen
class _List:
    """The options of ``runs list``, by name."""

    where: tuple[str, ...]
    sort: str
    reverse: bool
    limit: int | None
    fields: tuple[str, ...]
    metrics: tuple[str, ...]


def _listed(asked: _List, experiments_dir: str | None) -> tuple[ResultsDatabase, str]:
    """Return the runs of a list and its text."""
    from results.measures import choose_measures
    from results.run_files import without_garbage_collection
    from results.staleness import has_stale, stale_note
    from results.tables.listing import list_runs, listed_fields, sort_runs

    sort, reverse, limit, metrics = asked.sort, asked.reverse, asked.limit, asked.metrics
    with without_garbage_collection():
        database = shared.open_database(experiments_dir, asked.where)
        if sort != "id" or reverse:
            database = sort_runs(database, sort, reverse)
            database = database.only(list(database)[:limit])
        elif limit:
            database = database.only(list(database)[-limit:])
        database.read()
        measures = choose_measures(database.metadata(), metrics, None if metrics else N_MEASURES)
        columns = listed_fields(database, asked.fields)
        table = list_runs(database, measures, columns)
        while not metrics and len(measures) > 1 and len(table.partition("\n")[0]) > _width():
            measures.popitem()
            table = list_runs(database, measures, columns)
        footer = _footer(len(database), len(measures), len(choose_measures(database.metadata())))
        stale = stale_note([run for run in database if has_stale(run, measures)])
        lines = [table, "", footer, shared.hidden_note(), stale]
        return database, "\n".join([*lines[:3], *filter(None, lines[3:])])


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def _footer(n_runs: int, n_shown: int, n_measures: int) -> str:
    text = f"{n_runs:,} run{'s' * (n_runs != 1)}."
    if n_shown:
        text += " ± is the standard error within the run; for errors over seeds: pyml table."
    return f"{text} {shared.count_of_more(n_shown, n_measures)}".rstrip()


@runs.command(context_settings=shared.SETTINGS)
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.option(
    "--all",
    "every_record",
    is_flag=True,
    help="Show every evaluation with its settings, seed, weights, step and time, and all records.",
)
@click.option("--packages", is_flag=True, help="Also show the versions of all installed packages.")
@shared.common_options
def show(run: str, every_record: bool, packages: bool, experiments_dir: str | None) -> None:
    """Show one run in full: status, config, environment and results.

    RUN is a path, a run id, a unique prefix of an id, or latest.
    """
    from results.describe import describe_run

    found = shared.find_run(run, experiments_dir)
    put(describe_run(found, every_record=every_record, packages=packages))
    shared.report_faults(found.check())


@runs.command(context_settings=shared.SETTINGS)
@click.argument("a", metavar="RUN_A", shell_complete=complete_runs)
@click.argument("b", metavar="RUN_B", shell_complete=complete_runs)
@shared.common_options
def diff(a: str, b: str, experiments_dir: str | None) -> None:
    """Show the differences between two runs: config, plugins, environment and packages.

    A RUN is a path, a run id, a unique prefix of an id, or latest.
    """
    from results.describe import describe_difference

    one, other = shared.find_run(a, experiments_dir), shared.find_run(b, experiments_dir)
    put(describe_difference(one, other))
    shared.report_faults([*one.faults, *other.faults])


@runs.command(context_settings=shared.SETTINGS)
@shared.where_option
@click.option("--format", "style", type=click.Choice(["csv", "json"]), default="csv", show_default=True, help="Format.")
@click.option("--output", "-o", metavar="FILE", help="Write to a file instead of stdout.")
@shared.common_options
def export(where: tuple[str, ...], style: str, output: str | None, experiments_dir: str | None) -> None:
    """Export runs and results as CSV (one row per run and result) or JSON (one object per run)."""
    from results.run_files import without_garbage_collection

    with without_garbage_collection():
        database = shared.open_database(experiments_dir, where).read()
        content = database.to_csv() if style == "csv" else database.to_json()
        if output:
            shared.write_file(Path(output), content.encode())
        else:
            put(content, end="")
        shared.report_faults(database.faults)
