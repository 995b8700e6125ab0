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
EVERYWHERE = "all results that have it"
Pair = tuple[str, Scalar]


def result_table(records: Sequence[ResultRecord]) -> str:
    """Return the records as a table: name, mean ± error (aligned at the ±), n, unit, and what distinguishes them.

    What the protocols of several results share is shown once, below the table: fields that have the same value wherever
    they occur, and those of one family of names ("loss", "loss/low", ...).
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
    """Return the cells of each record, and the notes that say once what the protocols of several records share."""
    everywhere = _shared_by_families(records)
    shared = _shared_in_family(records)
    rows: list[tuple[str, ...]] = [
        (
            record.metadata.name,
            record.value(),
            "?" if record.result.n is None else f"{record.result.n:,}",
            record.metadata.unit,
            _spell(_own_pairs(record, everywhere | shared[_family(record)])),
        )
        for record in records
    ]
    notes = [f"{EVERYWHERE}: {_spell(sorted(everywhere))}"] if everywhere else []
    of_families = ((family, sorted(pairs - everywhere)) for family, pairs in shared.items())
    return rows, notes + [f"{family}: {_spell(pairs)}" for family, pairs in of_families if pairs]


def _family(record: ResultRecord) -> str:
    return record.metadata.name.partition("/")[0]


def _own_pairs(record: ResultRecord, shared: set[Pair]) -> list[Pair]:
    """Return the number of steps and samples, and the fields of the protocol that no note below the table shows."""
    sampling = record.metadata.sampling()  # a protocol may hold the number of samples, too
    return sampling + sorted(set(record.metadata.protocol) - shared - set(sampling))


def _shared_by_families(records: Sequence[ResultRecord]) -> set[Pair]:
    """Return the fields that have one value in all protocols which have them, of two or more families."""
    values: dict[str, set[tuple[type, Scalar]]] = {}
    families: dict[str, set[str]] = {}
    for record in records:
        for key, value in record.metadata.protocol:
            values.setdefault(key, set()).add((type(value), value))  # 1, 1.0 and True are equal, but print differently
            families.setdefault(key, set()).add(_family(record))
    return {(key, value) for key, found in values.items() if len(found) == 1 < len(families[key]) for _, value in found}


def _shared_in_family(records: Sequence[ResultRecord]) -> dict[str, set[Pair]]:
    shared: dict[str, set[Pair]] = {}
    for record in records:
        pairs = set(record.metadata.protocol)
        shared[_family(record)] = shared.get(_family(record), pairs) & pairs
    return shared


def _spell(pairs: Iterable[Pair]) -> str:
    return ", ".join(f"{key}={value}" for key, value in pairs)
