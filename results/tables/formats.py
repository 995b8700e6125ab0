"""A table as text, Markdown, LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from textwrap import indent
from typing import Any

import attrs

from core.runs.strict_json import dumps
from core.utils.tables import aligned
from results.over_runs import over_runs_numbers
from results.provenance import Provenance
from results.tables.siunitx import as_siunitx
from results.tables.table import Row, Table
from results.text.escaping import comment_text, csv_cell, csv_comment, csv_text, markdown_text
from results.text.latex import latex_cell, latex_comment, latex_text
from results.text.numbers import aligned_at_error

TABLE_SCHEMA = "pyml.table/1"
EMPTY = '"groups": []'  # cannot stand in a name, whose quotes are escaped
SUFFIXES = {".txt": "text", ".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json"}


def as_text(table: Table, made_by: Provenance | None = None) -> str:
    """Return an aligned text table; * marks the best value."""
    rows = [_marked(table, row, str, "{} *") for row in table.rows]
    columns = [aligned_at_error(list(column)) for column in zip(*rows, strict=True)]
    comment = [f"# {line}" for line in made_by.lines()] + [""] if made_by else []
    body = aligned(table.header(), list(zip(*columns, strict=True)))
    return "\n".join([*comment, body, "", table.notes("*"), ""])


def as_markdown(table: Table, made_by: Provenance | None = None) -> str:
    """Return a Markdown table (GitHub's syntax); the best value is bold."""
    rule = [":---" if column.is_text else "---:" for column in table.columns]
    lines = [map(markdown_text, table.header()), rule]
    for row in table.rows:
        lines.append(_marked(table, row, markdown_text, "**{}**"))
    comment = ["<!--", *(comment_text(line) for line in made_by.lines()), "-->", ""] if made_by else []
    body = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([*comment, *body, "", markdown_text(table.notes("Bold")), ""])


def as_latex(table: Table, made_by: Provenance | None = None) -> str:
    """Return a LaTeX tabular with rules of the package booktabs; the best value is bold."""
    comment = [latex_comment(line) for line in made_by.lines()] if made_by else []
    comment += [r"% needs \usepackage{booktabs,textcomp}", f"% Caption: {latex_text(table.notes('Bold'))}"]
    rows = [" & ".join(_marked(table, row, latex_cell, r"\textbf{{{}}}")) + r" \\" for row in table.rows]
    body = [
        rf"\begin{{tabular}}{{{''.join('l' if column.is_text else 'r' for column in table.columns)}}}",
        r"\toprule",
        " & ".join(map(latex_text, table.header())) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join([*comment, *body, ""])


def as_csv(table: Table, made_by: Provenance | None = None) -> str:
    """Return CSV with a row per group and measure. Numbers have full precision; an unknown number is empty.

    Lines of provenance begin with # (pandas reads the file with ``read_csv(path, comment="#")``).
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for line in made_by.lines() if made_by else []:
        file.write(csv_comment(line) + "\n")
    entries = list(_entries(table))
    if entries:
        writer.writerow([csv_text(name) for name in entries[0]])
    for entry in entries:
        writer.writerow([csv_cell(value) for value in entry.values()])
    return file.getvalue()


def as_json(table: Table, made_by: Provenance | None = None) -> str:
    """Return strict JSON. Numbers have full precision; an unknown number is null."""
    measures = {
        label: {**attrs.asdict(metadata), "protocol": dict(metadata.protocol)}
        for metadata, label in table.measures.items()
    }
    content = {"schema": TABLE_SCHEMA, "level": table.level, "measures": measures, "groups": []}
    frame = dumps({**content, "made_by": made_by.as_dict()} if made_by else content, indent=2) + "\n"
    # group by group: 2,000 groups as one object of Python take 100 MB
    rows = [indent(dumps(_group_json(table, row), indent=2), "    ") for row in table.rows]
    groups = ",\n".join(rows)
    return frame.replace(EMPTY, f'"groups": [\n{groups}\n  ]', 1) if rows else frame


def _group_json(table: Table, row: Row) -> dict[str, Any]:
    return {
        "group": row.group.label,
        "config": {**row.group.config},
        "n_runs": len(row.group.replicates),
        "left_out": row.group.left_out,
        "runs": [run.id for run in row.group.replicates.values()],
        "measures": {
            label: None if cell.over is None else {**over_runs_numbers(cell.over), "is_best": cell.is_best}
            for label, cell in zip(table.measures.values(), row.cells, strict=True)
        },
    }


FORMATS: dict[str, Callable[[Table, Provenance | None], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "siunitx": as_siunitx,
    "csv": as_csv,
    "json": as_json,
}


def _marked(table: Table, row: Row, escape: Callable[[str], str], mark: str) -> list[str]:
    best = table.best_columns(row)
    cells = map(escape, table.texts(row))
    return [mark.format(cell) if i in best else cell for i, cell in enumerate(cells)]


def _entries(table: Table) -> Iterable[dict[str, Any]]:
    for row in table.rows:
        fields = dict(zip(table.fields, row.fields, strict=True))
        left_out = ", ".join(f"{n} {state}" for state, n in row.group.left_out.items())
        for label, cell in zip(table.measures.values(), row.cells, strict=True):
            numbers = over_runs_numbers(cell.over) if cell.over else dict.fromkeys(_NUMBERS)
            yield {**fields, "measure": label, **numbers, "is_best": cell.is_best, "left_out": left_out}


_NUMBERS = (
    "n_runs",
    "mean",
    "standard_error",
    "ci_low",
    "ci_high",
    "why_error_unknown",
    "within_run_error",
    "wilson_low",
    "wilson_high",
    "n_runs_not_finite",
    "n_runs_lacking",
    "n_observations_nan",
)
