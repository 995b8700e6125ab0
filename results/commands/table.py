"""``python -m core table``: groups over seeds, for a terminal, a paper or a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.config.errors import ConfigError
from results.commands.shared import (
    SETTINGS,
    common_options,
    metric_option,
    open_database,
    report_faults,
    where_option,
    write_file,
)

if TYPE_CHECKING:
    from results.provenance import Provenance
    from results.tables.table import Table

N_MEASURES = 4
STYLES = ["text", "markdown", "latex", "csv", "json"]


@click.command(context_settings=SETTINGS)
@where_option
@metric_option
@click.option("--sort", metavar="NAME", help="Sort by a measure's mean or a config field.  [default: oldest first]")
@click.option("--reverse", is_flag=True, help="Sort the other way.")
@click.option(
    "--error",
    type=click.Choice(["ci", "se"]),
    default="ci",
    show_default=True,
    help="What stands behind ±: half of the t interval over runs, or the standard error over runs.",
)
@click.option("--level", metavar="L", type=float, default=0.95, show_default=True, help="Coverage of the interval.")
@click.option("--within/--no-within", default=True, help="Show the typical error within one run, too.  [default: yes]")
@click.option("--format", "style", type=click.Choice(STYLES), help="Default: by the file's suffix, else text.")
@click.option("--output", "-o", metavar="FILE", help="Write a file (.txt, .md, .tex, .csv, .json), with what made it.")
@common_options
def table(
    where: tuple[str, ...],
    metrics: tuple[str, ...],
    sort: str | None,
    reverse: bool,
    error: str,
    level: float,
    within: bool,
    style: str | None,
    output: str | None,
    experiments_dir: str | None,
) -> None:
    """Tabulate groups of runs over seeds: mean ± error over runs; the best in bold only where that is resolved.

    Runs that differ only in seed are one row.
    """
    if not 0 < level < 1:
        raise ConfigError(f"--level: got {level:g}; accepted: a number between 0 and 1, such as 0.95.")
    path = Path(output) if output else None
    style = _style(style, path)
    from results.groups import group_runs
    from results.measures import choose_measures
    from results.run_files import without_garbage_collection
    from results.tables.formats import FORMATS
    from results.tables.table import make_table, sort_groups

    with without_garbage_collection():
        database = open_database(experiments_dir, where).read()
        groups = group_runs(database)
        if not groups:
            report_faults(database.faults)
            raise ConfigError("no run's config can be read, so nothing can be grouped.")
        measures = choose_measures(database.metadata(), metrics, None if metrics else N_MEASURES)
        n_more = 0 if metrics else len(choose_measures(database.metadata())) - len(measures)
        groups = sort_groups(groups, sort, measures) if sort else groups
        made = make_table(groups[::-1] if reverse else groups, measures, error=error, level=level, within=within)
        _write(made, FORMATS[style], path)
        if n_more:
            click.echo(f"{n_more} more measure{'s' * (n_more > 1)}: --metric NAME, or --metric '*'.", err=True)
        report_faults(database.faults)


def _style(style: str | None, path: Path | None) -> str:
    from results.tables.formats import SUFFIXES

    if style or path is None:
        return style or "text"
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: got the suffix {path.suffix!r}; accepted: {', '.join(SUFFIXES)}, or --format.")
    return SUFFIXES[path.suffix]


def _write(made: Table, write: Callable[[Table, Provenance | None], str], path: Path | None) -> None:
    if path is None:
        click.echo(write(made, None), nl=False)
        return
    from results.provenance import provenance

    write_file(path, write(made, provenance([row.group for row in made.rows])).encode())
