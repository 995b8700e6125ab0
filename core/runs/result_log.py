"""A run's results.jsonl: one result per line, with the id of the evaluation that wrote it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from core.runs.directory import is_foreign
from core.runs.evaluations import EVALUATION_SCHEMA, ID, TRAINING
from core.runs.evaluations import RESULTS_FILE as RESULTS_FILE
from core.runs.files import Fault, append_json_line, read_json_lines
from core.runs.limits import MOST_MAGNITUDE
from core.utils.collection import ResultCollection
from core.utils.fields import UnsavableError
from core.utils.metadata import ResultMetadata
from core.utils.output import say
from core.utils.records import ResultRecord, ScalarResult

RESULT_SCHEMA = "pyml.result/1"


def log_record(record: ResultRecord, run_path: str | Path, *, save: bool = True, evaluation: str | None = None) -> None:
    """Append a record to the run's results.jsonl, then print it: what is printed as a result is on disk.

    A record that could not be saved is printed on stderr, behind ``NOT SAVED``.

    Args:
        record: The result to log.
        run_path: The run directory, which must exist.
        save: Whether to write it; False prints only.
        evaluation: Id of the evaluation that made it; None for a record that is complete by itself.

    Raises:
        TypeError: ``record`` is not a ResultRecord, ``run_path`` no path, or ``evaluation`` no id that a reader would
            accept. Nothing has been saved or printed. Or the directory holds files, but nothing of a run.
        OSError: The record could not be saved.
    """
    if not isinstance(record, ResultRecord):
        raise TypeError(
            f"record: got {record!r} ({type(record).__name__}); accepted: a ResultRecord. "
            "Try: ResultRecord(ResultMetadata('name', unit='image'), result)"
        )
    if not isinstance(run_path, str | Path):
        raise TypeError(
            f"run_path: got {run_path!r} ({type(run_path).__name__}); accepted: the run directory, as str or Path. "
            "Try: run.log_record(record) inside the run's block, or log_record(record, run.path)"
        )
    if evaluation is not None and not (isinstance(evaluation, str) and ID.fullmatch(evaluation)):
        raise UnsavableError(
            f"evaluation: got {evaluation!r}; accepted: up to 64 letters, digits, '_' and '-'. Try: Run.open(path), "
            "which claims an id"
        )
    if save:
        row = record_line(record, evaluation)
        try:
            _check_is_run(Path(run_path))
            append_json_line(Path(run_path) / RESULTS_FILE, row)
        except BaseException as error:  # Ctrl-C too: the number was computed, and is shown as what it is
            say(f"NOT SAVED ({type(error).__name__}): {record}", err=True)
            raise
    say(str(record))


def _check_is_run(run_path: Path) -> None:
    """Refuse a directory such as the experiments directory: no command would ever read a result there."""
    if not (run_path / RESULTS_FILE).exists() and run_path.is_dir() and is_foreign(run_path):
        raise UnsavableError(
            f"run_path: {run_path} holds files, but none of a run; accepted: a run directory, or an empty one. "
            "Try: log_record(record, run.path), or save_config_to_json(config, run_path) first"
        )


def record_line(record: ResultRecord, evaluation: str | None) -> dict[str, Any]:
    """Return the line of results.jsonl that stands for a record."""
    from core.runs.serialise import unstructure  # cattrs: 90 ms, paid by those who save

    return {"schema": RESULT_SCHEMA, "evaluation": evaluation, **unstructure(record)}


@frozen
class LoggedRecord:
    """A record as results.jsonl holds it.

    Attributes:
        record: The record.
        evaluation: Id of the evaluation that wrote it, or None.
        is_complete: Whether that evaluation came to its end.
        finished_at: When it did, ISO 8601, as its closing line says; None if there is no such line.
    """

    record: ResultRecord
    evaluation: str | None
    is_complete: bool
    finished_at: str | None = None


@frozen
class ResultLog:
    """What results.jsonl holds, and what of it could not be read.

    Attributes:
        entries: Every readable record, in the order of the file.
        faults: The lines that were skipped, and why.
    """

    entries: tuple[LoggedRecord, ...]
    faults: tuple[Fault, ...]

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


def read_result_log(run_path: str | Path) -> ResultLog:
    """Read a run's results.jsonl without changing it; a line that cannot be read is skipped and reported."""
    from core.runs.serialise import structure

    path = Path(run_path) / RESULTS_FILE
    rows, faults = read_json_lines(path)
    finished = {str(row.get("evaluation")): row for row in rows if row.get("schema") == EVALUATION_SCHEMA}
    entries = []
    for row in rows:
        if row.get("schema") == EVALUATION_SCHEMA:
            continue
        if row.get("schema") != RESULT_SCHEMA:
            reason = f"a line has schema {row.get('schema')!r}; this version reads {RESULT_SCHEMA!r}"
            faults.append(Fault(path, f"{reason}; the line is skipped"))
            continue
        evaluation = row.get("evaluation")
        if evaluation is not None and not (isinstance(evaluation, str) and ID.fullmatch(evaluation)):
            reason = f"evaluation: got {evaluation!r}; accepted: null, or an id such as eval-0001"
            faults.append(Fault(path, f"{reason}; the line is skipped"))
            continue
        try:
            record = structure(row, ResultRecord)
        except ValueError as error:
            faults.append(Fault(path, f"{error}; the line is skipped"))
            continue
        is_complete = evaluation in {None, TRAINING} or evaluation in finished
        finished_at = finished.get(str(evaluation), {}).get("finished_at")
        if too_large := [x for x in (record.result.mean, record.result.error) if MOST_MAGNITUDE < abs(x) < math.inf]:
            reason = f"got {too_large[0]:g}; accepted: numbers up to {MOST_MAGNITUDE:g}, or infinity"
            faults.append(Fault(path, f"{record.metadata.name}: {reason}; it counts as infinite"))
            # not skipped: a run that diverged must not look like one that was never measured
            record = attrs.evolve(record, result=_with_infinities(record.result))
        entries.append(LoggedRecord(record, evaluation, is_complete, None if finished_at is None else str(finished_at)))
    return ResultLog(tuple(entries), tuple(faults))


def _with_infinities(result: ScalarResult) -> ScalarResult:
    mean, error = (math.copysign(math.inf, x) if abs(x) > MOST_MAGNITUDE else x for x in (result.mean, result.error))
    return attrs.evolve(result, mean=mean, error=error if math.isfinite(mean) else math.nan)
