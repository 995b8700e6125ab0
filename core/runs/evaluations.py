"""Evaluations of a run: each claims an id, saves its settings, and ends with a closing line in results.jsonl.

``evaluations/eval-0001.json`` holds what was asked for. The closing line in results.jsonl makes the evaluation's
records the run's results. Each of the two has its own schema; earlier versions wrote that of the line into the file,
too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.runs.files import Fault, RunFile, append_json_line, make_directory
from core.runs.open_file import RefusedFileError, directory_inside
from core.utils.formatting import timestamp

RESULTS_FILE = "results.jsonl"  # here, because the closing line of an evaluation stands in it
DIRECTORY = "evaluations"
EVALUATION_SCHEMA = "pyml.evaluation/1"  # of the closing line
REQUEST_SCHEMA = "pyml.evaluation_request/1"  # of the file
TRAINING = "train"  # the records of training itself, complete without a closing line
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # a name of files: never a path, so never one out of the run
CLAIM = re.compile(r"eval-(\d+)\.json")


def start_evaluation(run_path: str | Path, asked_for: Mapping[str, Any]) -> str:
    """Claim the next evaluation id of a run, save what was asked for, and return the id.

    Ids are ordinals, not times or random names, so that two runs with one seed stay byte-equal; the claim is a file
    created exclusively, so that two processes never share one.
    """
    directory = directory_inside(run_path, DIRECTORY)
    make_directory(directory)
    ordinal = 1 + max(_claimed(directory), default=0)
    while True:
        path = directory / f"eval-{ordinal:04d}.json"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            ordinal += 1
        else:
            _request_file(path.stem, REQUEST_SCHEMA).write(run_path, asked_for)
            return path.stem


def read_requests(run_path: str | Path) -> dict[str, dict[str, Any] | Fault]:
    """Return for each evaluation id, oldest first, what was asked for, or why its file cannot be read."""
    try:
        claimed = sorted(_claimed(directory_inside(run_path, DIRECTORY)).items())
    except RefusedFileError as error:
        return {DIRECTORY: Fault(Path(error.filename), str(error.strerror))}
    except OSError:  # no evaluation has claimed an id
        return {}
    return {evaluation: _read_request(run_path, evaluation) for _, evaluation in claimed}


def _read_request(run_path: str | Path, evaluation: str) -> dict[str, Any] | Fault:
    found = _request_file(evaluation, REQUEST_SCHEMA).read(run_path)
    if isinstance(found, Fault):
        earlier = _request_file(evaluation, EVALUATION_SCHEMA).read(run_path)
        found = found if isinstance(earlier, Fault) else earlier
    return found if isinstance(found, Fault) else {name: value for name, value in found.items() if name != "schema"}


def _request_file(evaluation: str, schema: str) -> RunFile:
    return RunFile(f"{DIRECTORY}/{evaluation}.json", schema)


def _claimed(directory: Path) -> dict[int, str]:
    """Return the ids of the evaluations of a run by their ordinals."""
    return {int(match[1]): path.stem for path in directory.iterdir() if (match := CLAIM.fullmatch(path.name))}


def finish_evaluation(run_path: str | Path, evaluation: str, n_records: int) -> None:
    """Write the closing line of an evaluation: from now on its records are results of the run."""
    line = {
        "schema": EVALUATION_SCHEMA,
        "evaluation": evaluation,
        "state": "finished",
        "n_records": n_records,
        "finished_at": timestamp(),
    }
    append_json_line(Path(run_path) / RESULTS_FILE, line)
