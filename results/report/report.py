"""The report of an experiments directory: one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from core.config.errors import ConfigError
from core.utils.results import ResultMetadata
from results.database import ResultsDatabase
from results.environments import mixed_environments
from results.groups import Group, group_runs, name_groups
from results.hidden_differences import mixed_remedy, mixed_text, mixed_weights_of
from results.plots.end_labels import END_WIDTH
from results.provenance import provenance
from results.report import curve_figures, sections
from results.report.html import element, page
from results.report.run_list import run_list
from results.report.script import SCRIPT, SCRIPT_HASH
from results.report.style import STYLE
from results.report.verdicts import best_sentences, verdicts
from results.selection import select_group
from results.staleness import stale_note
from results.tables.table import make_table
from results.text.labels import printable
from results.text.private import published, redaction_of


@frozen
class ReportOptions:
    """What the page shows.

    Attributes:
        title: Heading of the page; None uses the directory's name.
        level: Coverage of the intervals.
        metrics: Measures to compare, by name or label; none compares those whose metadata call them primary.
        split_by: Fields of the environment in which the runs of a group must also agree.
        directory: The directory of the page, for links to the runs; None for no links.
        baseline: The group that each other one is compared with, as ``select_group`` takes it; None takes the oldest
            group that has a finished run.
        public: Replace hosts, users and paths by placeholders, and leave out the links.
    """

    title: str | None = None
    level: float = 0.95
    metrics: tuple[str, ...] = ()
    split_by: tuple[str, ...] = ()
    directory: Path | None = None
    baseline: str | None = None
    public: bool = False


def make_report(database: ResultsDatabase, measures: Mapping[ResultMetadata, str], options: ReportOptions) -> str:
    """Return a self-contained HTML page about the runs.

    Args:
        database: The runs.
        measures: The measures of the table, with their labels.
        options: What the page shows.

    Raises:
        ConfigError: No run can be grouped, because no config can be read; or no group is the baseline, or several are.
    """
    directory = str(database.experiments_dir.resolve())
    with published(redaction_of(database.read(), directory) if options.public else None):
        return _page(database, measures, options)


def _page(database: ResultsDatabase, measures: Mapping[ResultMetadata, str], options: ReportOptions) -> str:
    groups = group_runs(database, options.split_by)
    if not groups:
        raise ConfigError("no run's config can be read, so nothing can be grouped.")
    heading = printable(options.title or f"Experiments in {database.experiments_dir.resolve().name}")
    runs, labels, level = list(database), name_groups(groups, END_WIDTH), options.level
    names = dict(zip(groups, labels.names, strict=True))
    table = make_table(groups, measures, level=level, split_by=options.split_by)
    drawn = [group for group in groups if group.replicates]
    drawn_labels = labels.only([i for i, group in enumerate(groups) if group.replicates])
    of_run = {run.id: names[group] for group in groups for run in group.runs}
    body = [
        element("h1", heading),
        sections.overview(runs, len(groups)),
        *sections.answers(
            verdicts(_baseline_first(groups, database, options), names, options.metrics, level, bool(options.baseline)),
            best_sentences(table, names),
            _warnings(groups, measures, options.split_by),
            labels,
        ),
        *sections.groups_table(table, labels),
        *curve_figures.curves(drawn, drawn_labels, level),
        *sections.steps(drawn, drawn_labels, measures, level),
        *sections.grids(drawn, drawn_labels),
        *sections.configs(groups, labels),
        *sections.troubles(runs, database.faults),
        *run_list(runs, of_run, None if options.public else options.directory, datetime.now(UTC)),
        element("h2", "How this page was made"),
        *(element("p", line, class_="note") for line in provenance(groups).lines() if not line.startswith("Runs of ")),
    ]
    return page(heading, STYLE, body, SCRIPT, SCRIPT_HASH)


def _baseline_first(groups: Sequence[Group], database: ResultsDatabase, options: ReportOptions) -> list[Group]:
    """Return the groups, the baseline first, the others oldest first."""
    if options.baseline is None:
        first = next((group for group in groups if group.replicates), groups[0])
    else:
        chosen = select_group(database, options.baseline, whole_group=True, split_by=options.split_by).runs[0].id
        first = next(group for group in groups if any(run.id == chosen for run in group.runs))
        if not first.replicates:
            raise ConfigError(f"--baseline {options.baseline}: no finished run to compare with.")
    return [first, *(group for group in groups if group is not first)]


def _warnings(groups: Sequence[Group], measures: Mapping[ResultMetadata, str], split_by: Sequence[str]) -> list[str]:
    """Return warnings about all runs: what they mix, and which results are stale."""
    mixed = mixed_environments((run for group in groups for run in group.replicates.values()), split_by)
    mixed |= mixed_weights_of(groups, measures)
    found = [f"Mixed: {mixed_text(mixed)}. {mixed_remedy(mixed)}."] if mixed else []
    stale = stale_note([run for group in groups for run in group.stale_runs(measures)])
    return [*found, stale] if stale else found
