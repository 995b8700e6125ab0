"""A table for the LaTeX package siunitx: numbers in S columns, aligned at their decimal points and at ±."""

from __future__ import annotations

import re
from collections.abc import Sequence

from results.provenance import Provenance
from results.tables.columns import MEASURE, Column
from results.tables.table import Row, Table
from results.text.durations import Unit, unit_of
from results.text.latex import latex_cell, latex_comment, latex_text

_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?: ± (\d+)(?:\.(\d+))?)?")
NEEDS = (
    r"% needs \usepackage{booktabs,textcomp,siunitx}, and for bold numbers \usepackage{etoolbox} \robustify\bfseries",
    r"% \sisetup{separate-uncertainty=true, detect-weight=true}",
)


def as_siunitx(table: Table, made_by: Provenance | None = None) -> str:
    """Return a LaTeX tabular whose numbers siunitx sets; the best value is bold. Times of a column share one unit."""
    units = [_column_unit(table, column) for column in table.columns]
    cells = [_cells(table, row, units) for row in table.rows]
    formats = ["l" if column.is_text else _format([row[i] for row in cells]) for i, column in enumerate(table.columns)]
    header = [
        _heading(title, unit, column) for title, unit, column in zip(table.header(), units, table.columns, strict=True)
    ]
    body = []
    for row, texts in zip(table.rows, cells, strict=True):
        best = table.best_columns(row)
        body.append(" & ".join(_cell(text, i in best, table.columns[i]) for i, text in enumerate(texts)) + r" \\")
    comment = [latex_comment(line) for line in made_by.lines()] if made_by else []
    return "\n".join(
        [
            *comment,
            *NEEDS,
            f"% Caption: {latex_text(table.notes('Bold'))}",
            rf"\begin{{tabular}}{{{''.join(formats)}}}",
            r"\toprule",
            " & ".join(header) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _column_unit(table: Table, column: Column) -> Unit:
    """Return the one unit in which a column is printed: of times, the one that suits the shortest."""
    if column.is_text:
        return Unit()
    metadata = next(metadata for metadata, label in table.measures.items() if label == column.name)
    cells = [table.cell_of(row, column) for row in table.rows]
    means = [abs(cell.over.summary.mean) for cell in cells if cell.over is not None]
    known = [mean for mean in means if 0 < mean < float("inf")]
    return unit_of(metadata, min(known, default=0.0))


def _cells(table: Table, row: Row, units: Sequence[Unit]) -> list[str]:
    """Return a row's cells as text without the names of units, which stand in the heading."""
    return [
        table.text(row, column, unit).removesuffix(f" {unit.name}").strip("()")
        if unit.name
        else table.text(row, column)
        for column, unit in zip(table.columns, units, strict=True)
    ]


def _heading(title: str, unit: Unit, column: Column) -> str:
    text = latex_text(f"{title} ({unit.name})" if unit.name else title)
    return text if column.is_text else f"{{{text}}}"


def _cell(text: str, is_best: bool, column: Column) -> str:
    """Return a cell: a number for siunitx, or text in braces, which siunitx leaves alone."""
    if column.is_text:
        return latex_text(text)
    if not _NUMBER.fullmatch(text):
        return f"{{{latex_cell(text)}}}" if text else ""
    number = text.replace(" ± ", " +- ")
    return rf"\bfseries {number}" if is_best and column.kind == MEASURE else number


def _format(texts: Sequence[str]) -> str:
    """Return the S column with room for the longest number of these texts, such as ``S[table-format=-1.3(2)]``."""
    found = [match for text in texts if (match := _NUMBER.fullmatch(text))]
    if not found:
        return "r"
    sign = "-" if any(match[1] for match in found) else ""
    whole = max(len(match[2]) for match in found)
    decimals = max(len(match[3] or "") for match in found)
    errors = [len((match[4] + (match[5] or "")).lstrip("0")) for match in found if match[4]]
    # an error of fewer decimals than the mean with the most needs room for the zeros that alignment adds
    spread = max(errors, default=0)
    return f"S[table-format={sign}{whole}{f'.{decimals}' if decimals else ''}{f'({spread})' if spread else ''}]"
