"""Tables of results, as aligned text and as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from core.utils.fields import Scalar
from core.utils.records import ResultRecord


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return a table with a ruled header; the columns named in ``right`` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    row = "  ".join(f"%{'' if name in right else '-'}{width}s" for name, width in zip(header, widths, strict=True))
    rule = "  ".join("─" * width for width in widths)
    return "\n".join([(row % tuple(header)).rstrip(), rule, *((row % tuple(cells)).rstrip() for cells in rows)])


HEADER = ("result", "mean ± error", "n", "unit", "details")
NOTHING = "(no results)"


def result_table(records: Sequence[ResultRecord]) -> str:
    """Return the records as a table: name, mean ± error (aligned at the ±), n, unit, and what distinguishes them.

    The fields that the protocols of one family of names ("loss", "loss/low", ...) share are shown once, below the
    table.
    """
    if not records:
        return NOTHING
    rows, notes = _rows(records)
    before = max(len(value.partition(" ± ")[0]) for _, value, *_ in rows)
    padded = [(name, " " * (before - len(value.partition(" ± ")[0])) + value, *more) for name, value, *more in rows]
    table = aligned(HEADER, padded, right=("n",))
    return "\n".join([table, "", *notes]) if notes else table


def html_table(records: Sequence[ResultRecord]) -> str:
    """Return the same table as HTML, for a notebook."""
    from html import escape  # a list of runs needs no table of HTML's entities

    if not records:
        return escape(NOTHING)
    rows, notes = _rows(records)
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"


def html_pairs(pairs: Mapping[str, object]) -> str:
    """Return names and values as an HTML table with a row for each, for a notebook."""
    from html import escape  # a list of runs needs no table of HTML's entities

    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in pairs.items())
    return f"<table>{rows}</table>"


def _rows(records: Sequence[ResultRecord]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the cells of each record, and a note for each family whose protocols share something."""
    shared = _shared_protocols(records)
    rows: list[tuple[str, ...]] = [
        (
            record.metadata.name,
            record.value(),
            "?" if record.result.n is None else f"{record.result.n:,}",
            record.metadata.unit,
            _spell(record.metadata.sampling() + sorted(set(record.metadata.protocol) - shared[_family(record)])),
        )
        for record in records
    ]
    return rows, [f"{family}: {_spell(sorted(pairs))}" for family, pairs in shared.items() if pairs]


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
