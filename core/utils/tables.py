"""Aligned tables of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.utils.fields import Scalar
from core.utils.records import ResultRecord


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return a table with a ruled header; the columns named in ``right`` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    row = "  ".join(f"%{'' if name in right else '-'}{width}s" for name, width in zip(header, widths, strict=True))
    rule = "  ".join("─" * width for width in widths)
    return "\n".join([(row % tuple(header)).rstrip(), rule, *((row % tuple(cells)).rstrip() for cells in rows)])


def result_table(records: Sequence[ResultRecord]) -> str:
    """Return the records as a table: name, mean ± error (aligned at the ±), n, unit, and what sets a record apart.

    What the protocols of one family of names ("loss", "loss/low", ...) share stands once, below the table.
    """
    if not records:
        return "(no results)"
    values = [record.value() for record in records]
    before = max(len(value.partition(" ± ")[0]) for value in values)
    shared = _shared_protocols(records)
    rows = [
        (
            record.metadata.name,
            " " * (before - len(value.partition(" ± ")[0])) + value,
            "?" if record.result.n is None else f"{record.result.n:,}",
            record.metadata.unit,
            _spell(record.metadata.sampling() + sorted(set(record.metadata.protocol) - shared[_family(record)])),
        )
        for record, value in zip(records, values, strict=True)
    ]
    table = aligned(("result", "mean ± error", "n", "unit", "details"), rows, right=("n",))
    notes = [f"{family}: {_spell(sorted(pairs))}" for family, pairs in shared.items() if pairs]
    return "\n".join([table, "", *notes]) if notes else table


def _family(record: ResultRecord) -> str:
    return record.metadata.name.partition("/")[0]


def _shared_protocols(records: Sequence[ResultRecord]) -> dict[str, set[tuple[str, Scalar]]]:
    shared: dict[str, set[tuple[str, Scalar]]] = {}
    for record in records:
        pairs = set(record.metadata.protocol)
        shared[_family(record)] = shared.get(_family(record), pairs) & pairs
    return shared


def _spell(pairs: Iterable[tuple[str, Scalar]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in pairs)
