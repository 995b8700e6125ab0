"""Many results: filtered, grouped, concatenated, and shown as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
from attrs import field, frozen

from core.config.errors import unknown_name
from core.utils.fields import protocol_pairs
from core.utils.metadata import ResultMetadata
from core.utils.records import ResultRecord, ResultSource
from core.utils.tables import html_table, result_table


def _records(value: Iterable[ResultRecord]) -> tuple[ResultRecord, ...]:
    records = tuple(value)
    for record in records:
        if not isinstance(record, ResultRecord):
            raise TypeError(f"records: got a {type(record).__name__}; accepted: ResultRecord")
    return records


@frozen
class ResultCollection:
    """An immutable sequence of records in the order in which they were logged. It prints as an aligned table."""

    records: tuple[ResultRecord, ...] = field(default=(), converter=_records)

    def __iter__(self) -> Iterator[ResultRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> ResultRecord:
        return self.records[index]

    def __add__(self, other: ResultCollection) -> ResultCollection:
        if not isinstance(other, ResultCollection):
            return NotImplemented
        return ResultCollection(self.records + other.records)

    def filter(self, keep: Callable[[ResultRecord], bool] | None = None, /, **metadata: Any) -> ResultCollection:
        """Return the records that ``keep`` accepts and whose metadata equal the fields given.

        ``protocol={"split": "held_out"}`` keeps the records whose protocol holds these pairs, whatever else it holds.

        Raises:
            ValueError: A field that ResultMetadata does not have.
        """
        _check_fields(metadata)
        pairs = set(protocol_pairs(metadata.pop("protocol", ())))
        return ResultCollection(
            record
            for record in self.records
            if all(getattr(record.metadata, key) == value for key, value in metadata.items())
            and pairs <= set(record.metadata.protocol)
            and (keep is None or keep(record))
        )

    def group_by(self, *fields: str) -> dict[Any, ResultCollection]:
        """Return a collection for each value of a metadata field (for several fields: each tuple of values).

        Raises:
            ValueError: No field, or one that ResultMetadata does not have.
        """
        _check_fields(fields or [""])
        groups: dict[Any, list[ResultRecord]] = {}
        for record in self.records:
            key = tuple(getattr(record.metadata, name) for name in fields)
            groups.setdefault(key if len(fields) > 1 else key[0], []).append(record)
        return {key: ResultCollection(records) for key, records in groups.items()}

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one dict per record: the fields of metadata, result and source; protocol is a dict, source fields
        are named ``source_step`` and so on.
        """
        return [
            {
                **attrs.asdict(record.metadata),
                "protocol": dict(record.metadata.protocol),
                **attrs.asdict(record.result),
                **{f"source_{name}": value for name, value in attrs.asdict(record.source or ResultSource()).items()},
            }
            for record in self.records
        ]

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame with a row per record; ImportError if pandas is not installed."""
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_dataframe needs pandas, which is not installed; try: pip install pandas") from None
        return pd.DataFrame(self.to_rows())

    def __str__(self) -> str:
        return result_table(self.records)

    def _repr_html_(self) -> str:
        return html_table(self.records)


def _check_fields(names: Iterable[str]) -> None:
    known = [attribute.name for attribute in attrs.fields(ResultMetadata)]
    for name in names:
        if name not in known:
            raise unknown_name("metadata field", name, known)
