"""The report of an experiments directory: one HTML page without scripts that needs no network."""

from __future__ import annotations

from collections.abc import Mapping

from core.config.errors import ConfigError
from core.utils.results import ResultMetadata
from results.database import ResultsDatabase
from results.groups import group_runs
from results.provenance import provenance
from results.report import sections
from results.report.html import element, page
from results.report.style import STYLE
from results.tables.table import make_table
from results.text.labels import printable
from results.text.private import published, redaction_of


def make_report(
    database: ResultsDatabase,
    measures: Mapping[ResultMetadata, str],
    *,
    title: str | None = None,
    level: float = 0.95,
    public: bool = False,
) -> str:
    """Return a self-contained HTML page about the runs.

    Args:
        database: The runs.
        measures: The measures of the table, with their labels.
        title: Heading of the page; None uses the directory's name.
        level: Coverage of the intervals.
        public: Replace hosts, users and paths by placeholders.

    Raises:
        ConfigError: No run can be grouped, because no config can be read.
    """
    directory = str(database.experiments_dir.resolve())
    with published(redaction_of(database.read(), directory) if public else None):
        return _page(database, measures, title, level)


def _page(database: ResultsDatabase, measures: Mapping[ResultMetadata, str], title: str | None, level: float) -> str:
    groups = group_runs(database)
    if not groups:
        raise ConfigError("no run's config can be read, so nothing can be grouped.")
    heading = printable(title or f"Experiments in {database.experiments_dir.resolve().name}")
    made_by = provenance(groups)
    runs = list(database)
    table = make_table(groups, measures, level=level)
    body = [
        element("h1", heading),
        sections.overview(runs, len(groups)),
        *sections.groups_table(table),
        *sections.curves(groups, level),
        *sections.steps(groups, measures, level),
        *sections.grids(groups),
        *sections.configs(groups),
        *sections.troubles(runs, database.faults),
        element("h2", "Made by"),
        *(element("p", line, class_="note") for line in made_by.lines()),
    ]
    return page(heading, STYLE, body)
