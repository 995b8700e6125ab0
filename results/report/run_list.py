"""The list of runs: links, seeds, status, times and environments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from results.environments import SPLIT_FIELDS, UNKNOWN, environment_values
from results.fields import ages_s, as_text
from results.groups import SEED
from results.moments import age_text, read_time, span_text
from results.report.html import Cell, Html, element, table
from results.run import Run
from results.text.labels import printable, shortened, spell

NOTHING = "-"


def run_list(runs: Sequence[Run], groups: Mapping[str, str], directory: Path | None, now: datetime) -> list[Html]:
    """Return the section with a row per run, newest first.

    Args:
        runs: The runs.
        groups: The short name of each run's group, by run id.
        directory: The directory of the page, for links to the run directories; None for no links.
        now: The time from which ages are counted.
    """
    environments = [_environment(run) for run in runs]
    shared = {name: value for name, value in environments[0].items() if all(e[name] == value for e in environments)}
    differing = [name for name in SPLIT_FIELDS if name not in shared]
    header = ["run", "group", "seed", "status", "started", "age", "duration", *(["environment"] if differing else [])]
    rows = []
    for run, environment in sorted(zip(runs, environments, strict=True), key=lambda pair: pair[0].id, reverse=True):
        cells = [_id_cell(run, directory), Cell(groups.get(run.id, NOTHING)), Cell(_seed(run)), _status_cell(run)]
        cells += _time_cells(run, now)
        if differing:
            cells.append(Cell(", ".join(environment[name] for name in differing)))
        rows.append(cells)
    parts = [element("h2", "Runs")]
    same = ", ".join(f"{name} {value}" for name, value in shared.items() if value != UNKNOWN)
    if same:
        parts.append(element("p", f"All runs: {same}.", class_="note"))
    if differing:
        parts.append(element("p", f"Environment: {', '.join(differing)}.", class_="note"))
    return [*parts, table(header, rows, kind="list")]


def _environment(run: Run) -> dict[str, str]:
    found = environment_values(run, SPLIT_FIELDS)
    return {name: printable(value[:12] if name == "git_commit" else value) for name, value in found.items()}


def _id_cell(run: Run, directory: Path | None) -> Cell:
    return Cell(printable(run.id), link=_link(run.path, directory) if directory else "")


def _link(path: Path, directory: Path) -> str:
    """Return a relative link to a run's directory. It cannot name another scheme, because every ":" is quoted."""
    try:
        relative = os.path.relpath(path.resolve(), directory.resolve())
    except ValueError:  # Windows: on another drive
        return ""
    return f"./{quote(relative.replace(os.sep, '/'), errors='replace')}/"


def _seed(run: Run) -> str:
    return printable(shortened(spell(run.config[SEED]), 20)) if run.config.get(SEED) is not None else NOTHING


def _status_cell(run: Run) -> Cell:
    return Cell(printable(run.status.state))


def _time_cells(run: Run, now: datetime) -> list[Cell]:
    """Return when a run started, how long ago that is, and how long it ran."""
    started, (age, duration) = read_time(run.status.started_at), ages_s(run, now)
    if started is None or age is None:
        return [Cell(NOTHING)] * 3
    cells = [Cell(as_text(started.astimezone(UTC))), Cell(age_text(age), kind="age", sort=f"{age:.0f}")]
    if duration is None:
        return [*cells, Cell(NOTHING)]
    return [*cells, Cell(span_text(duration), sort=f"{duration:.1f}")]
