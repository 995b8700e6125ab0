"""Aligned tables of plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.utils.results import ResultRecord


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return a table with a ruled header; the columns named in ``right`` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    row = "  ".join(f"%{'' if name in right else '-'}{width}s" for name, width in zip(header, widths, strict=True))
    rule = "  ".join("─" * width for width in widths)
    return "\n".join([(row % tuple(header)).rstrip(), rule, *((row % tuple(cells)).rstrip() for cells in rows)])


def result_table(records: Sequence[ResultRecord]) -> str:
    """Return the records as a table: name, mean ± error (aligned at the ±), n, unit, details."""
    if not records:
        return "(no results)"
    values = [record.value() for record in records]
    before = max(len(value.partition(" ± ")[0]) for value in values)
    rows = [
        (
            record.metadata.name,
            " " * (before - len(value.partition(" ± ")[0])) + value,
            "?" if record.result.n is None else f"{record.result.n:,}",
            record.metadata.unit,
            record.metadata.details(),
        )
        for record, value in zip(records, values, strict=True)
    ]
    return aligned(("result", "mean ± error", "n", "unit", "details"), rows, right=("n",))
