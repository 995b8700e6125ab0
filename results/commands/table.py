"""``python -m core table``: a table of means over seeds, for a terminal, a paper or a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.config.errors import ConfigError
from core.utils.output import put
from results.commands import shared

if TYPE_CHECKING:
    from core.utils.results import ResultMetadata
    from results.database import ResultsDatabase
    from results.groups import Group
    from results.provenance import Provenance
    from results.tables.table import Table

N_MEASURES = 4
STYLES = ["text", "markdown", "latex", "csv", "json"]


@click.command(context_settings=shared.SETTINGS)
@shared.where_option
@shared.metric_option
@click.option(
    "--columns",
    metavar="NAMES",
    help="Columns from left to right, with commas between them: fields, measures, runs, or group for a short label.",
)
@click.option(
    "--rename",
    "renamed",
    metavar="OLD=NEW",
    multiple=True,
    help="Give a column another name (not in csv and json); may be repeated.",
)
@click.option("--siunitx", is_flag=True, help="With --format latex or a .tex file: write numbers for siunitx.")
@click.option("--sort", metavar="NAME", help="Sort by a measure's mean or a config field.  [default: oldest first]")
@click.option("--reverse", is_flag=True, help="Reverse the order.")
@click.option(
    "--error",
    type=click.Choice(["ci", "se"]),
    default="ci",
    show_default=True,
    help="Number after ±: ci, half of the t interval over runs, or se, the standard error over runs.",
)
@shared.level_option
@shared.split_by_option
@shared.strict_option
@click.option(
    "--within/--no-within", default=True, help="Also show the typical standard error within one run.  [default: yes]"
)
@click.option(
    "--format", "style", type=click.Choice(STYLES), help="Format.  [default: by the suffix of FILE, else text]"
)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="Write a file (.txt, .md, .tex, .csv, .json) that also names its command and runs.",
)
@shared.common_options
def table(
    where: tuple[str, ...],
    metrics: tuple[str, ...],
    columns: str | None,
    renamed: tuple[str, ...],
    siunitx: bool,
    sort: str | None,
    reverse: bool,
    error: str,
    level: float,
    split_by: tuple[str, ...],
    strict: bool,
    within: bool,
    style: str | None,
    output: str | None,
    experiments_dir: str | None,
) -> None:
    """Print a table of groups: the mean ± error over runs of each measure.

    Runs that differ only in seed are one row. The best value is marked only if its difference to every other row is
    significant.
    """
    path = Path(output) if output else None
    style = _style(style, path)
    _check_style(style, siunitx, renamed)
    names = dict(_renaming(text) for text in renamed)
    from results.environments import mixed_environments
    from results.hidden_differences import mixed_weights_of
    from results.run_files import without_garbage_collection
    from results.tables.formats import FORMATS
    from results.tables.table import make_table, sort_groups
    from results.text.labels import measure_labels

    with without_garbage_collection():
        database = shared.open_database(experiments_dir, where).read()
        groups, counts = _grouped(database, split_by), database.metadata()
        mixed = mixed_environments((run for group in groups for run in group.replicates.values()), split_by)
        wanted = _names(columns)
        measures = _measures(counts, metrics, wanted)
        if wanted and not measures and style == "csv":
            raise ConfigError("--columns: csv has one line per group and measure; name a measure, too.")
        mixed |= mixed_weights_of(groups, measures)
        shared.refuse_mixed(mixed, strict)
        groups = sort_groups(groups, sort, measures) if sort else groups
        groups = groups[::-1] if reverse else groups
        made = make_table(
            groups,
            measures,
            error=error,
            level=level,
            within=within,
            split_by=split_by,
            columns=wanted,
            names=names,
            short=style not in {"csv", "json"},
            others=measure_labels(counts).values(),
        )
        _write(made, FORMATS["siunitx" if siunitx else style], path)
        for note in filter(None, _notes(groups, measures, mixed, None if metrics or wanted else counts)):
            put(note, err=True)
        shared.report_faults(database.faults)


def _check_style(style: str, siunitx: bool, renamed: Sequence[str]) -> None:
    if siunitx and style != "latex":
        raise ConfigError(f"--siunitx needs --format latex or a .tex file, not {style}.")
    if renamed and style in {"csv", "json"}:
        raise ConfigError(f"--rename: {style} keeps the names of fields and measures; rename them where you read it.")


def _grouped(database: ResultsDatabase, split_by: Sequence[str]) -> list[Group]:
    from results.groups import group_runs

    groups = group_runs(database, split_by)
    if not groups:
        shared.report_faults(database.faults)
        raise ConfigError("no run's config can be read, so nothing can be grouped.")
    return groups


def _notes(
    groups: Sequence[Group],
    measures: Mapping[ResultMetadata, str],
    mixed: Mapping[str, Mapping[str, int]],
    chosen_from: Mapping[ResultMetadata, int] | None,
) -> Iterator[str]:
    """Yield what to know about a table: stale and mixed results, archived runs, and measures that it leaves out.

    A note of which there is nothing to say is "".

    Args:
        groups: The rows of the table.
        measures: The measures of the table.
        mixed: In what the runs or their results differ.
        chosen_from: The measures from which the main ones were chosen; None where the user named them.
    """
    from results.hidden_differences import mixed_line
    from results.measures import choose_measures
    from results.staleness import stale_note

    yield stale_note([run for group in groups for run in group.stale_runs(measures)])
    yield mixed_line(mixed) if mixed else ""
    yield shared.hidden_note()
    if chosen_from is not None:
        yield shared.count_of_more(len(measures), len(choose_measures(chosen_from)))


def _names(columns: str | None) -> list[str]:
    """Return the names in --columns; a comma in brackets, as in "frechet (n_steps=18, split=a)", belongs to a name."""
    if columns is None:
        return []
    names = [name.strip() for name in re.split(r",(?![^()]*\))", columns)]
    if not all(names):
        raise ConfigError(f"--columns: got {columns!r}; accepted: names with commas between them, such as model,loss.")
    return names


def _measures(
    counts: Mapping[ResultMetadata, int], metrics: tuple[str, ...], wanted: Sequence[str]
) -> dict[ResultMetadata, str]:
    """Return the measures of the table: those of --columns or --metric, else the main ones."""
    from results.measures import choose_measures, is_wanted
    from results.text.labels import measure_labels

    if not wanted:
        return choose_measures(counts, metrics, None if metrics else N_MEASURES)
    labels = measure_labels(counts)
    known = [name for name in wanted if any(is_wanted(label, m.name, [name]) for m, label in labels.items())]
    return choose_measures(counts, [*metrics, *known]) if known or metrics else {}


def _renaming(text: str) -> tuple[str, str]:
    old, sign, new = text.rpartition("=")
    if not (old.strip() and sign and new.strip()):
        raise ConfigError(f"--rename: got {text!r}; accepted: OLD=NEW, such as learning_rate=LR.")
    return old.strip(), new.strip()


def _style(style: str | None, path: Path | None) -> str:
    from results.tables.formats import SUFFIXES

    if style or path is None:
        return style or "text"
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: got the suffix {path.suffix!r}; accepted: {', '.join(SUFFIXES)}, or --format.")
    return SUFFIXES[path.suffix]


def _write(made: Table, write: Callable[[Table, Provenance | None], str], path: Path | None) -> None:
    if path is None:
        put(write(made, None), end="")
        return
    from results.provenance import provenance

    shared.write_file(path, write(made, provenance([row.group for row in made.rows])).encode())
