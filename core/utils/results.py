"""Results as data: what was measured (metadata), the number with its error, and collections of them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from core.runs.files import append_json_line
from core.utils.formatting import format_duration, format_mean_error
from core.utils.output import say

RESULT_SCHEMA = "pyml.result/1"

Scalar = str | int | float | bool | None
ROLES = ("primary", "part", "reference")
KINDS = ("mean", "proportion")
WEIGHTS = ("ema", "raw")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _protocol(value: object) -> tuple[tuple[str, Scalar], ...]:
    """Sort a mapping, or pairs, into the hashable form; a scalar is refused if equality would not be sure of it."""
    if not isinstance(value, Mapping | Iterable) or isinstance(value, str | bytes):
        raise TypeError(f"protocol: got {value!r} ({type(value).__name__}); accepted: a mapping of names to scalars")
    pairs = [tuple(pair) for pair in (value.items() if isinstance(value, Mapping) else value)]
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], str):
            raise TypeError(f"protocol: got the entry {pair!r}; accepted: a name and a scalar")
        if pair[1] is not None and not isinstance(pair[1], str | int | float | bool):
            raise TypeError(
                f"protocol: {pair[0]}: got a {type(pair[1]).__name__}; accepted: str, int, float, bool, None"
            )
        if isinstance(pair[1], float) and not math.isfinite(pair[1]):
            raise ValueError(f"protocol: {pair[0]}: got {pair[1]!r}; accepted: a finite number")
    if len({pair[0] for pair in pairs}) < len(pairs):
        raise ValueError(f"protocol: a name came twice in {pairs!r}")
    return tuple(sorted(pairs))


def _count(value: Any) -> int:
    """Take an integer of any kind, NumPy's too, from 0 up."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < 0:
        raise TypeError(f"got {value!r} ({type(value).__name__}); accepted: an integer from 0 up")
    return operator.index(value)


def _count_or_none(value: Any) -> int | None:
    return None if value is None else _count(value)


def _one_of(*accepted: str) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """Return a validator of a field that takes one of a few words."""

    def check(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or value not in accepted:
            raise ValueError(f"{attribute.name}: got {value!r}; accepted: {', '.join(map(repr, accepted))}")

    return check


@frozen
class ResultMetadata:
    """What a number is about. Frozen and hashable: a dict key.

    Two results are comparable when name, unit and protocol are equal.

    Attributes:
        name: What was measured, such as ``"denoising_loss"``; times are named ``"time/..."`` and are in seconds.
        n_steps: Steps of the sampler, where one was used.
        n_samples: Samples generated, where there were any.
        unit: The unit of replication that the error speaks of: "sample", "image", "batch", "run", ...
        protocol: Whatever must be equal for two numbers to be comparable; converts from a mapping to a tuple of
            (name, scalar) pairs sorted by name.
        higher_is_better: The good direction, or None where there is none.
        role: "primary"; "part" for a part of a primary measure, such as the loss at one noise level; "reference" for a
            value to hold a primary measure against, such as a floor. Not part of equality or hash.
        kind: "mean"; "proportion" if every observation lies in 0 to 1, so that intervals are Wilson's. Not part of
            equality or hash.
    """

    name: str = field(validator=attrs.validators.instance_of(str))
    n_steps: int | None = field(default=None, converter=_count_or_none)
    n_samples: int | None = field(default=None, converter=_count_or_none)
    unit: str = field(default="sample", validator=attrs.validators.instance_of(str))
    protocol: tuple[tuple[str, Scalar], ...] = field(default=(), converter=_protocol)
    higher_is_better: bool | None = field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(bool))
    )
    role: str = field(default="primary", eq=False, validator=_one_of(*ROLES))
    kind: str = field(default="mean", eq=False, validator=_one_of(*KINDS))

    def is_comparable_with(self, other: ResultMetadata) -> bool:
        """Say whether a difference between results of the two would mean anything."""
        return (self.name, self.unit, self.protocol) == (other.name, other.unit, other.protocol)

    def __str__(self) -> str:
        details = self.details()
        return f"{self.name} (per {self.unit}{'; ' + details if details else ''})"

    def details(self) -> str:
        """Return everything but the name and the unit, as "n_steps=18, split=held_out"."""
        return ", ".join(f"{key}={value}" for key, value in [*self.sampling(), *self.protocol])

    def sampling(self) -> list[tuple[str, Scalar]]:
        """Return n_steps and n_samples as pairs, where they are known."""
        pairs: list[tuple[str, Scalar]] = [("n_steps", self.n_steps), ("n_samples", self.n_samples)]
        return [pair for pair in pairs if pair[1] is not None]


def _bits(value: float) -> float | str:
    """Compare NaN as equal to itself, so that what was saved and read back is equal to what it was."""
    return "nan" if math.isnan(value) else value


def _real(value: Any) -> float:
    if isinstance(value, str | bytes | bool) or value is None:
        raise TypeError(f"got {value!r} ({type(value).__name__}); accepted: a real number")
    return float(value)


@frozen
class ScalarResult:
    """A mean, its standard error, and what they rest on.

    Attributes:
        mean: The estimate; NaN where there is none.
        error: Its standard error; NaN where the data cannot give one. Never negative.
        n: The observations that the error rests on, or None if unknown.
        n_nan: Observations that were NaN; they are not among the ``n``.
        n_inf: Observations that were infinite; they are among the ``n``.
    """

    mean: float = field(converter=_real, eq=_bits)
    error: float = field(default=math.nan, converter=_real, eq=_bits)
    n: int | None = field(default=None, converter=_count_or_none)
    n_nan: int = field(default=0, converter=_count)
    n_inf: int = field(default=0, converter=_count)

    @error.validator
    def _not_negative(self, _attribute: object, value: float) -> None:
        if value < 0:
            raise ValueError(f"error: got {value!r}; accepted: a number from 0 up, or NaN where it is unknown")

    def remark(self) -> str:
        """Return "(3 of 5,000 not finite)", or "" where all were finite."""
        not_finite = self.n_nan + self.n_inf
        of = "" if self.n is None else f" of {self.n + self.n_nan:,}"
        return f"({not_finite:,}{of} not finite)" if not_finite else ""

    def __str__(self) -> str:
        return " ".join(part for part in (format_mean_error(self.mean, self.error), self.remark()) if part)


def _integer_or_none(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"got {value!r} ({type(value).__name__}); accepted: an integer or None")
    return operator.index(value)


@frozen
class ResultSource:
    """What a result was measured on. It is no part of whether two results can be compared.

    Attributes:
        step: Training step of the checkpoint that was measured.
        digest: "sha256:" and 64 hexadecimal digits: the digest of the checkpoint file as it was read.
        weights: "ema" for the moving average of the weights, "raw" for the weights themselves.
        sample_seed: Seed of the samples' noise.
    """

    step: int | None = field(default=None, converter=_count_or_none)
    digest: str | None = field(default=None)
    weights: str | None = field(default=None, validator=attrs.validators.optional(_one_of(*WEIGHTS)))
    sample_seed: int | None = field(default=None, converter=_integer_or_none)

    @digest.validator
    def _is_digest(self, _attribute: object, value: object) -> None:
        if value is not None and not (isinstance(value, str) and _DIGEST.fullmatch(value)):
            raise ValueError(f"digest: got {value!r}; accepted: 'sha256:' and 64 hexadecimal digits, or None")


@frozen
class ResultRecord:
    """One result, what it is about, and what it was measured on where that is known."""

    metadata: ResultMetadata
    result: ScalarResult
    source: ResultSource | None = None

    def value(self) -> str:
        """Return "mean ± error"; of a time, which is in seconds, in the unit that fits."""
        if not self.metadata.name.startswith("time/"):
            return str(self.result)
        text = format_duration(self.result.mean, self.result.error)
        return " ".join(part for part in (text, self.result.remark()) if part)

    def __str__(self) -> str:
        n = "n unknown" if self.result.n is None else f"n = {self.result.n:,}"
        about = [n, f"unit {self.metadata.unit}", *(f"{key}={value}" for key, value in self.metadata.sampling())]
        return f"{self.metadata.name}: {self.value()}  ({', '.join(about)})"


def _records(value: Iterable[ResultRecord]) -> tuple[ResultRecord, ...]:
    records = tuple(value)
    for record in records:
        if not isinstance(record, ResultRecord):
            raise TypeError(f"records: got a {type(record).__name__}; accepted: ResultRecord")
    return records


@frozen
class ResultCollection:
    """Records in the order in which they came; immutable, iterable, printed as an aligned table."""

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
        pairs = set(_protocol(metadata.pop("protocol", ())))
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
        """Return a pandas DataFrame with a row per record; ImportError with the remedy where pandas is missing."""
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_dataframe needs pandas, which is not installed; try: pip install pandas") from None
        return pd.DataFrame(self.to_rows())

    def __str__(self) -> str:
        from core.utils.tables import result_table

        return result_table(self.records)


def _check_fields(names: Iterable[str]) -> None:
    from core.config.errors import unknown_name

    known = [attribute.name for attribute in attrs.fields(ResultMetadata)]
    for name in names:
        if name not in known:
            raise unknown_name("metadata field", name, known)


def log_record(record: ResultRecord, run_path: str | Path, *, save: bool = True, evaluation: str | None = None) -> None:
    """Append a record to the run's results.jsonl and print it; when it is printed, no crash can lose it.

    Args:
        record: The result to log.
        run_path: The run directory, which must exist.
        save: Whether to write it; False prints only.
        evaluation: Id of the evaluation that made it; None for a record that is complete by itself.

    Raises:
        OSError: The record could not be saved; it has been printed all the same.
    """
    from core.runs.serialise import unstructure

    try:
        if save:
            row = {"schema": RESULT_SCHEMA, "evaluation": evaluation, **unstructure(record)}
            append_json_line(Path(run_path) / "results.jsonl", row)
    finally:
        say(str(record))
