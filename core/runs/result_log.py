"""The log of a run's results: evaluations that write it, and reading what they left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from core.runs.files import append_json_line, read_json_lines, write_json
from core.utils.results import RESULT_SCHEMA, ResultCollection, ResultMetadata, ResultRecord

EVALUATION_SCHEMA = "pyml.evaluation/1"
TRAINING = "train"
CLAIM = re.compile(r"eval-(\d+)\.json")


def start_evaluation(run_path: Path, asked_for: Mapping[str, Any]) -> str:
    """Claim the next evaluation id of a run and keep what was asked for beside it.

    Ids are ordinals, not times or random names, so that two runs with one seed stay byte-equal; the claim is a file
    created exclusively, so that two processes never share one.
    """
    directory = run_path / "evaluations"
    directory.mkdir(exist_ok=True)
    claimed = [int(match[1]) for path in directory.iterdir() if (match := CLAIM.fullmatch(path.name))]
    ordinal = 1 + max(claimed, default=0)
    while True:
        path = directory / f"eval-{ordinal:04d}.json"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            ordinal += 1
        else:
            write_json(path, {"schema": EVALUATION_SCHEMA, **asked_for})
            return path.stem


def finish_evaluation(run_path: Path, evaluation: str, n_records: int) -> None:
    """Mark an evaluation complete: from now on its records are the run's results."""
    line = {
        "schema": EVALUATION_SCHEMA,
        "evaluation": evaluation,
        "state": "finished",
        "n_records": n_records,
        "finished_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
    append_json_line(run_path / "results.jsonl", line)


@frozen
class LoggedRecord:
    """A record as results.jsonl holds it, with the evaluation that wrote it and whether that came to its end."""

    record: ResultRecord
    evaluation: str | None
    is_complete: bool


@frozen
class ResultLog:
    """What results.jsonl holds, and what of it could not be read.

    Attributes:
        entries: Every readable record, in the order of the file.
        faults: One message per line that was skipped.
    """

    entries: tuple[LoggedRecord, ...]
    faults: tuple[str, ...]

    def newest(self) -> ResultCollection:
        """Return the run's results: for each metadata the record of the newest complete evaluation."""
        newest: dict[ResultMetadata, ResultRecord] = {}
        for entry in self.entries:
            if entry.is_complete:
                newest.pop(entry.record.metadata, None)
                newest[entry.record.metadata] = entry.record
        return ResultCollection(newest.values())

    def every(self) -> ResultCollection:
        """Return all records, those of older and of incomplete evaluations included."""
        return ResultCollection(entry.record for entry in self.entries)


def read_result_log(run_path: Path) -> ResultLog:
    """Read a run's results.jsonl without changing it; a line that cannot be read is skipped and reported."""
    from core.runs.serialise import structure

    path = run_path / "results.jsonl"
    rows, line_faults = read_json_lines(path)
    faults = [str(fault) for fault in line_faults]
    finished = {str(row.get("evaluation")) for row in rows if row.get("schema") == EVALUATION_SCHEMA}
    entries = []
    for row in rows:
        if row.get("schema") == EVALUATION_SCHEMA:
            continue
        if row.get("schema") != RESULT_SCHEMA:
            faults.append(f"{path}: a line of schema {row.get('schema')!r}, not {RESULT_SCHEMA!r}; the line is skipped")
            continue
        evaluation = row.get("evaluation")
        if evaluation is not None and not isinstance(evaluation, str):
            faults.append(f"{path}: evaluation: got {evaluation!r}; accepted: a string or null; the line is skipped")
            continue
        try:
            record = structure(row, ResultRecord)
        except ValueError as error:
            faults.append(f"{path}: {error}; the line is skipped")
            continue
        entries.append(LoggedRecord(record, evaluation, evaluation in {None, TRAINING} or evaluation in finished))
    return ResultLog(tuple(entries), tuple(faults))
