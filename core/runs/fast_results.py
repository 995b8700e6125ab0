"""The fast reader of results.jsonl, which reads 10,000 runs in about a second.

It parses all records of a file at once, keeps the parsed metadata of lines that begin alike, and makes no object per
record. A file with anything unusual (a torn line, other spacing, a field of a newer version) is read again by
:mod:`core.runs.result_log`, which reports what is wrong. A test holds that both readers agree, on damaged files too.

orjson and msgspec do not make this module unnecessary. For a run of 10 results this reader takes 45 µs. They parse the
lines in 20 and 12 µs, but the hashable metadata of each record, which is kept here, then costs them 95 µs more.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Container, Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs
from attrs import Factory, frozen

from core.runs import strict_json
from core.runs.evaluations import EVALUATION_SCHEMA, ID, TRAINING
from core.runs.files import Fault, read_file
from core.runs.limits import MOST_LINES_BYTES, MOST_MAGNITUDE
from core.runs.result_log import RESULT_SCHEMA, RESULTS_FILE, read_result_log
from core.runs.strict_json import decode_float
from core.utils.metadata import ResultMetadata
from core.utils.records import ResultSource

Measures = dict[ResultMetadata, Mapping[str, Any]]  # the fields of a ScalarResult: mean, error, n, n_nan, n_inf
Sources = dict[ResultMetadata, ResultSource]

MOST_COUNT = 1 << 63  # larger counts are left to the careful reader
_RESULT = '"result": {'
_SOURCE = '}, "source": {'
_FINISHED = re.compile(
    r'\{"schema": "' + re.escape(EVALUATION_SCHEMA) + r'", "evaluation": "([\w-]+)", "state": "finished", '
    r'"n_records": (?:0|[1-9]\d{0,17}), "finished_at": "[\w:.+-]+"\}',
    re.ASCII,  # other digits are not JSON
)
_METADATA = {"name": str, "n_steps": int, "n_samples": int, "unit": str, "protocol": dict, "higher_is_better": bool}
_LATER_METADATA = {"role": str, "kind": str}  # files of the first version lack these
_SOURCE_FIELDS = {"step": int, "digest": str, "weights": str, "sample_seed": int}
_RESULT_FIELDS = ("mean", "error", "n", "n_nan", "n_inf")
_columns = itemgetter(*_RESULT_FIELDS)
_heads: dict[
    str, tuple[str | None, ResultMetadata]
] = {}  # parsed: the part of a line before its result, which many runs share


class UnusualError(Exception):
    """The file holds something that only the careful reader handles."""


@frozen
class NewestResults:
    """The newest complete record per metadata of a results.jsonl.

    Attributes:
        measures: The fields of each record's ScalarResult, by metadata.
        sources: What each was measured on, by metadata; a record that does not say is not in it.
        faults: What could not be read.
    """

    measures: Measures = Factory(dict)
    sources: Sources = Factory(dict)
    faults: tuple[Fault, ...] = ()


def read_results(run_path: str | Path) -> NewestResults:
    """Return the newest complete record per metadata of a run, and what of its results.jsonl could not be read."""
    path = f"{run_path}/{RESULTS_FILE}"
    try:
        return _fast_results(read_file(path, MOST_LINES_BYTES).decode())
    except FileNotFoundError:
        return NewestResults()
    except OSError as error:
        return NewestResults(faults=(Fault(Path(path), f"cannot be read ({error.strerror or error})"),))
    except (UnusualError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return _careful_results(Path(path))


def _fast_results(text: str) -> NewestResults:
    heads = []
    sources: list[ResultSource | None] = []
    tails = []
    finished: set[str | None] = {None, TRAINING}
    any_source = _SOURCE in text
    for line in text.split("\n"):
        if not line:
            continue
        head, result, tail = line.partition(_RESULT)
        if not result:
            finished.add(_finished_evaluation(line))
        elif tail[-2:] == "}}":
            heads.append(_heads.get(head) or _read_head(head))
            if any_source:
                fields, has_source, source = tail[:-1].partition(_SOURCE)
                tails.append(fields + "}" if has_source else fields)
                sources.append(_read_source(source) if has_source else None)
            else:
                tails.append(tail[:-1])
        else:
            raise UnusualError
    results = json.loads("[{" + ",{".join(tails) + "]") if tails else []
    if len(results) != len(heads):
        raise UnusualError
    results = [fields if _is_usual(fields) else _with_floats(fields) for fields in results]
    evaluations, names = zip(*heads, strict=True) if heads else ((), ())
    measures = dict(zip(names, results, strict=True))
    if len(measures) == len(names) and finished.issuperset(evaluations):
        pairs = zip(names, sources, strict=True) if any_source else ()
        return NewestResults(measures, {name: source for name, source in pairs if source})
    return _newest(zip(heads, results, sources or [None] * len(heads), strict=True), finished)


def _is_usual(fields: dict[str, Any]) -> bool:
    """Return whether a result has just the fields of a ScalarResult, all finite and of the right types."""
    mean, error, n, n_nan, n_inf = _columns(fields)
    return (
        len(fields) == len(_RESULT_FIELDS)
        and type(mean) is float
        and type(error) is float
        and -MOST_MAGNITUDE <= mean <= MOST_MAGNITUDE  # 1e999 is read as an infinity
        and 0 <= error <= MOST_MAGNITUDE
        and (n is None or (type(n) is int and 0 <= n < MOST_COUNT))
        and type(n_nan) is int
        and type(n_inf) is int
        and 0 <= n_nan < MOST_COUNT
        and 0 <= n_inf < MOST_COUNT
    )


def _with_floats(fields: dict[str, Any]) -> dict[str, Any]:
    """Decode NaN and infinities, which strict JSON does not write as numbers, and integers."""
    if any(type(fields[name]) is int and abs(fields[name]) >= MOST_COUNT for name in ("mean", "error")):
        raise UnusualError  # whether it has too many digits, the careful reader says
    decoded = {**fields, "mean": decode_float(fields["mean"]), "error": decode_float(fields["error"])}
    if set(decoded) != set(_RESULT_FIELDS) or decoded["error"] < 0:
        raise UnusualError
    if any(MOST_MAGNITUDE < abs(decoded[name]) < math.inf for name in ("mean", "error")):
        raise UnusualError
    if not _is_usual({**decoded, "error": 0.0, "mean": 0.0}):
        raise UnusualError
    return decoded


def _newest(
    entries: Iterable[tuple[tuple[str | None, ResultMetadata], Mapping[str, Any], ResultSource | None]],
    finished: Container[str | None],
) -> NewestResults:
    """Return for each metadata the last record of a complete evaluation."""
    measures: Measures = {}
    sources: Sources = {}
    for (evaluation, metadata), fields, source in entries:
        if evaluation in finished:
            measures.pop(metadata, None)  # the order is that of the newest records
            sources.pop(metadata, None)
            measures[metadata] = fields
            if source:
                sources[metadata] = source
    return NewestResults(measures, sources)


def _finished_evaluation(line: str) -> str:
    match = _FINISHED.fullmatch(line)
    if not match:
        raise UnusualError
    return match[1]


def _read_head(head: str) -> tuple[str | None, ResultMetadata]:
    """Read the part of a line before its result, by closing it as if the result were null."""
    content = strict_json.loads(head + '"result": null}')
    fields = content["metadata"]
    if content["schema"] != RESULT_SCHEMA or set(content) != {"schema", "evaluation", "metadata", "result"}:
        raise UnusualError
    types = _METADATA | _LATER_METADATA
    if not set(_METADATA) <= set(fields) <= set(types) or not all(
        value is None or type(value) is types[name] for name, value in fields.items()
    ):
        raise UnusualError
    evaluation = content["evaluation"]
    if evaluation is not None and not ID.fullmatch(evaluation):
        raise UnusualError
    _heads[head] = evaluation, ResultMetadata(**fields)
    return _heads[head]


@functools.lru_cache(maxsize=64)  # the records of one evaluation share their source
def _read_source(text: str) -> ResultSource:
    """Read what follows ``"source": {`` in a line, with its closing brace."""
    fields = strict_json.loads("{" + text)
    if not all(type(value) is _SOURCE_FIELDS.get(name) for name, value in fields.items()):
        raise UnusualError
    return ResultSource(**fields)


def _careful_results(path: Path) -> NewestResults:
    log = read_result_log(path.parent)
    measures: Measures = {record.metadata: attrs.asdict(record.result) for record in log.newest()}
    sources: Sources = {record.metadata: record.source for record in log.newest() if record.source}
    return NewestResults(measures, sources, log.faults)
