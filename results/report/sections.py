"""The sections of a report: results, curves, samples, configs and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.config.errors import ConfigError
from core.runs.sample_pictures import read_picture
from core.utils.results import ResultMetadata
from results.curve import curve_names
from results.groups import SEED, Group, described
from results.plots.figure import MOST_LINES
from results.report.html import Cell, Html, element, picture, table
from results.run import Run
from results.run_files import Fault
from results.tables.table import Table, runs_text
from results.text.labels import count, differing_names, printable, spell

MOST_ROWS = 200
MOST_CURVES = 6
MOST_GRIDS = 24


def overview(runs: Sequence[Run], n_groups: int) -> Html:
    """Return a sentence with the numbers of runs by status, and of groups."""
    states: dict[str, int] = {}
    for run in runs:
        states[run.status.state] = states.get(run.status.state, 0) + 1
    counted = ", ".join(f"{n:,} {state}" for state, n in sorted(states.items()))
    return element(
        "p",
        f"{count(len(runs), 'run')} ({counted}) in {count(n_groups, 'group')}; runs of a group differ only in seed.",
    )


def groups_table(made: Table) -> list[Html]:
    """Return the table of groups with a note that explains its numbers."""
    header = [*map(printable, made.fields), "runs", *made.measures.values()]
    rows = []
    for row in made.rows[:MOST_ROWS]:
        cells = [Cell(text) for text in (*row.fields, runs_text(row.group))]
        for cell in row.cells:
            within = f"within run {made.within_text(cell)}" if cell.over else ""
            text = made.cell_text(row.group, cell).replace(" ± ", "\u00a0±\u00a0")
            cells.append(Cell(text, cell.is_best, small=within.replace(" ", "\u00a0")))
        rows.append(cells)
    numbers = range(len(made.fields) + 1, len(header))
    parts = [element("h2", "Results"), table(header, rows, numbers)]
    parts.append(element("p", made.notes("Bold"), class_="note"))
    return parts + _cut_off(len(made.rows), MOST_ROWS, "groups")


def curves(groups: Sequence[Group], level: float) -> list[Html]:
    """Return the training curves, one figure per measure."""
    from results.plots.curves import CurveOptions, plot_curves
    from results.plots.figure import render

    shown = [group for group in groups if group.replicates][:MOST_LINES]
    names = curve_names(shown)[:MOST_CURVES]
    if not names:
        return []
    pictures = [
        picture(
            render(plot_curves(shown, [name], CurveOptions(level=level)), ".svg", name),
            "svg+xml",
            f"Training curve of {printable(name)}: mean over runs with a {100 * level:g}% t interval, for each group",
        )
        for name in names
    ]
    parts = [element("h2", "Training curves"), element("div", *pictures, class_="figures")]
    return parts + _cut_off(sum(bool(group.replicates) for group in groups), MOST_LINES, "groups")


def steps(groups: Sequence[Group], measures: Mapping[ResultMetadata, str], level: float) -> list[Html]:
    """Return plots of sample quality against the number of sampler steps, for measures taken at several numbers."""
    from results.plots.figure import render
    from results.plots.points import plot_steps

    families: dict[tuple[object, ...], set[int]] = {}
    for m in measures:
        if m.n_steps is not None:
            families.setdefault((m.name, m.unit, m.protocol), set()).add(m.n_steps)
    several = {m: label for m, label in measures.items() if len(families.get((m.name, m.unit, m.protocol), ())) > 1}
    shown = [group for group in groups if group.replicates][:MOST_LINES]
    try:
        figure = plot_steps(shown, several, level=level)
    except ConfigError:
        return []
    alternative = "Sample quality against the number of sampler steps: mean over runs with t intervals"
    drawn = picture(render(figure, ".svg", alternative), "svg+xml", alternative)
    return [element("h2", "Quality against sampler steps"), element("div", drawn, class_="figures")]


def grids(groups: Sequence[Group]) -> list[Html]:
    """Return the newest sample grid of each group, from the run with the smallest seed that has one."""
    from results.plots.samples import grids_of

    found = grids_of(groups)
    pictures = [figure for title, path in found[:MOST_GRIDS] if (figure := _grid(printable(title), path))]
    if not pictures:
        return []
    note = "The newest image of each group's run with the smallest seed. Images are not selected by hand."
    parts = [element("h2", "Samples"), element("p", note, class_="note"), element("div", *pictures, class_="figures")]
    return parts + _cut_off(len(found), MOST_GRIDS, "grids")


def configs(groups: Sequence[Group]) -> list[Html]:
    """Return the config fields in which the groups differ, and the fields that they share."""
    things = [described(group.runs[0]) for group in groups]
    fields = differing_names(things) or ["model"]
    rows = [
        [Cell(str(i)), *(Cell(printable(spell(thing[name])) if name in thing else "-", kind="long") for name in fields)]
        for i, thing in enumerate(things[:MOST_ROWS], start=1)
    ]
    shared = [name for name in things[0] if name not in fields and name != SEED]
    common = [[Cell(printable(name)), Cell(printable(spell(things[0][name])), kind="long")] for name in shared]
    parts = [element("h2", "Configs")]
    if len(groups) > 1:
        parts += [element("p", "Fields in which the groups differ:"), table(["group", *map(printable, fields)], rows)]
        parts += _cut_off(len(things), MOST_ROWS, "groups")
    return [*parts, element("p", "Fields that all runs share:"), table(["field", "value"], common)]


def troubles(runs: Sequence[Run], faults: Sequence[Fault]) -> list[Html]:
    """Return the runs that did not finish, with the reason, and the files that could not be read."""
    open_runs = [run for run in runs if run.status.state != "finished"]
    parts = [element("h2", "Failures")]
    if not open_runs and not faults:
        return [*parts, element("p", "None: every run finished and could be read.")]
    rows = [
        [
            Cell(run.id, kind="long"),
            Cell(run.status.state),
            Cell(printable(run.status.reason or run.status.progress() or ""), kind="long"),
            Cell(printable(f"{run.config.get('model', '?')}, seed {run.config.get(SEED, '?')}")),
        ]
        for run in open_runs[:MOST_ROWS]
    ]
    if rows:
        parts += [
            table(["run", "status", "reason", "model and seed"], rows),
            *_cut_off(len(open_runs), MOST_ROWS, "runs"),
        ]
    if faults:
        items = [element("li", printable(str(fault))) for fault in faults[:MOST_ROWS]]
        parts += [
            element("p", "Could not be read:"),
            element("ul", *items),
            *_cut_off(len(faults), MOST_ROWS, "faults"),
        ]
    return parts


def _grid(title: str, path: Path) -> Html | None:
    try:
        content = read_picture(path)
    except (OSError, ValueError):
        return None
    return picture(content, "png", f"Samples of {title}", title, class_="grid")


def _cut_off(n: int, most: int, what: str) -> list[Html]:
    return (
        [element("p", f"Shows the first {most} of {n:,} {what}. Select fewer runs with --where.", class_="note")]
        if n > most
        else []
    )
