"""The sections of a report: answers, results, quality against steps, samples, configs and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.config.errors import ConfigError
from core.runs.sample_pictures import read_picture
from core.utils.results import ResultMetadata
from results.groups import SEED, Group, described
from results.plots.line_styles import MOST_LINES
from results.plots.look import Look
from results.report.html import Cell, Html, element, picture, table
from results.report.verdicts import Verdicts
from results.run import Run
from results.run_files import Fault
from results.tables.table import Table, runs_text
from results.text.labels import count, names_text, printable, spell
from results.text.short_labels import ShortLabels, distinguishing_fields

MOST_ROWS = 200
MOST_SENTENCES = 30
MOST_GRIDS = 24
MOST_IDS = 8
WITHIN = "within run "
STEPS_LOOK = Look(size=(4.6, 3.2), bare=True)


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


def answers(found: Verdicts, best: Sequence[str], warnings: Sequence[str], labels: ShortLabels) -> list[Html]:
    """Return the answers of all comparisons, one sentence each, and what to know about them.

    Args:
        found: The comparisons.
        best: For each measure, which group is the best.
        warnings: What to know of all runs, such as what they mix.
        labels: Names of the groups, explained where they are letters.
    """
    parts = []
    if found.sentences or best:
        sentences = [*best, *found.sentences]
        parts += [element("h2", "Answers"), _items(sentences), *_cut_off(len(sentences), MOST_SENTENCES, "answers")]
        parts += legend(labels)
        parts += [element("p", found.note, class_="note")] if found.note else []
    notes = [*warnings, *found.findings]
    if notes:
        parts += [element("h2", "Findings"), _items(notes), *_cut_off(len(notes), MOST_SENTENCES, "findings")]
    return parts


def groups_table(made: Table, labels: ShortLabels) -> list[Html]:
    """Return the table of groups with a note that explains its numbers, and the legend of the groups' names."""
    header = ["group", "runs", *made.measures.values()]
    rows = []
    for name, row in list(zip(labels.names, made.rows, strict=True))[:MOST_ROWS]:
        cells = [Cell(name), Cell(runs_text(row.group))]
        for cell in row.cells:
            within = made.within_text(cell) if cell.over else ""
            text = made.cell_text(row.group, cell)
            cells.append(Cell(text, cell.is_best, small=within, small_label=WITHIN))
        rows.append(cells)
    parts = [element("h2", "Results"), table(header, rows, range(2, len(header)))]
    notes = " ".join(filter(None, [made.notes("Bold"), labels.note()]))
    parts.append(element("p", notes, class_="note"))
    parts.append(element("p", "In brackets: within run.", class_="note print"))
    return parts + legend(labels) + _cut_off(len(made.rows), MOST_ROWS, "groups")


def legend(labels: ShortLabels) -> list[Html]:
    """Return what the letters stand for, where groups are called by letters."""
    if not labels.legend:
        return []
    few = len(labels.legend) <= MOST_LINES
    text = f"{'; '.join(labels.legend)}." if few else "What the letters stand for: see Configs."
    return [element("p", text, class_="note")]


def steps(
    groups: Sequence[Group], labels: ShortLabels, measures: Mapping[ResultMetadata, str], level: float
) -> list[Html]:
    """Return plots of sample quality against the number of sampler steps, for measures taken at several numbers.

    Args:
        groups: The groups of runs; at most ``MOST_LINES`` of them are drawn.
        labels: Their short labels.
        measures: The labels of all measures.
        level: Confidence level of the intervals, between 0 and 1.
    """
    from results.plots.figure import render
    from results.plots.point_figure import points_caption
    from results.plots.points import plot_steps

    families: dict[tuple[object, ...], set[int]] = {}
    for m in measures:
        if m.n_steps is not None:
            families.setdefault((m.name, m.unit, m.protocol), set()).add(m.n_steps)
    several = {m: label for m, label in measures.items() if len(families.get((m.name, m.unit, m.protocol), ())) > 1}
    try:
        figure = plot_steps(groups[:MOST_LINES], several, level=level, look=STEPS_LOOK, names=labels.first(MOST_LINES))
    except ConfigError:
        return []
    alternative = "Sample quality against the number of sampler steps: mean over runs with t intervals"
    content = render(figure, ".svg", alternative, font="path", transparent=True)
    drawn = picture(
        content, "svg+xml", alternative, f"{points_caption(level)} The legend is that of the training curves."
    )
    return [element("h2", "Quality against sampler steps"), element("div", drawn, class_="figures")]


def grids(groups: Sequence[Group], labels: ShortLabels) -> list[Html]:
    """Return the newest sample grid of each group, from the run with the smallest seed that has one."""
    from results.plots.samples import grids_of

    found = grids_of(groups, names=labels.names)
    pictures = [figure for title, path in found[:MOST_GRIDS] if (figure := _grid(printable(title), path))]
    if not pictures:
        return []
    note = "For each group, the newest image of the run with the smallest seed. Images are not selected by hand."
    parts = [element("h2", "Samples"), element("p", note, class_="note"), element("div", *pictures, class_="figures")]
    return parts + _cut_off(len(found), MOST_GRIDS, "grids")


def configs(groups: Sequence[Group], labels: ShortLabels) -> list[Html]:
    """Return the config fields in which the groups differ, and the fields that they share."""
    things = [described(group.runs[0], group.split_by) for group in groups]
    fields = distinguishing_fields(things) or ["model"] * (len(things) > 1)
    rows = [
        [Cell(label), *(Cell(printable(spell(thing[name])) if name in thing else "-", kind="long") for name in fields)]
        for label, thing in list(zip(labels.names, things, strict=True))[:MOST_ROWS]
    ]
    common = [
        (name, value)
        for name, value in things[0].items()
        if name != SEED and name not in fields and all(thing.get(name) == value for thing in things)
    ]
    parts = [element("h2", "Configs")]
    if len(groups) > 1:
        parts += [element("p", "Fields in which the groups differ:"), table(["group", *map(printable, fields)], rows)]
        parts += _cut_off(len(things), MOST_ROWS, "groups")
    shared = ", ".join(f"{name}={spell(value)}" for name, value in common)
    text = f"Fields that all runs share: {printable(shared)}." if shared else "All runs share no field."
    return [*parts, element("p", text, class_="note")]


def troubles(runs: Sequence[Run], faults: Sequence[Fault]) -> list[Html]:
    """Return the runs that did not finish, by reason, and the files that could not be read."""
    open_runs = [run for run in runs if run.status.state != "finished"]
    parts = [element("h2", "Failures")]
    if not open_runs and not faults:
        return [*parts, element("p", "None: every run finished and could be read.")]
    by_reason: dict[tuple[str, str], list[Run]] = {}
    for run in open_runs:
        reason = run.status.reason or run.status.progress() or ""
        by_reason.setdefault((run.status.state, reason), []).append(run)
    rows = [
        [
            Cell(printable(state)),
            Cell(printable(reason), kind="long"),
            Cell(count(len(found), "run")),
            Cell(printable(names_text([run.id for run in found[:MOST_IDS]], MOST_IDS + 1)), kind="long"),
        ]
        for (state, reason), found in by_reason.items()
    ]
    if rows:
        parts += [table(["status", "reason", "how many", "runs"], rows[:MOST_ROWS])]
        parts += _cut_off(len(rows), MOST_ROWS, "reasons")
    if faults:
        items = [element("li", printable(str(fault))) for fault in faults[:MOST_ROWS]]
        parts += [
            element("p", "Could not be read:"),
            element("ul", *items),
            *_cut_off(len(faults), MOST_ROWS, "faults"),
        ]
    return parts


def _items(sentences: Sequence[str]) -> Html:
    return element("ul", *(element("li", printable(sentence)) for sentence in sentences[:MOST_SENTENCES]))


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
