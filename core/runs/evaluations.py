"""Evaluations of a run. Each claims an id, keeps what was asked for, and ends with a closing line in results.jsonl.

``evaluations/eval-0001.json`` holds what was asked for. The closing line in results.jsonl has the schema
``pyml.evaluation/1`` and makes the evaluation's records the run's results.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.runs.files import append_json_line, make_directory, write_json
from core.utils.formatting import timestamp

RESULTS_FILE = "results.jsonl"  # here, because the closing line of an evaluation stands in it
EVALUATION_SCHEMA = "pyml.evaluation/1"
TRAINING = "train"  # the records of training itself, complete without a closing line
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # a name of files: never a path, so never one out of the run
CLAIM = re.compile(r"eval-(\d+)\.json")


def start_evaluation(run_path: str | Path, asked_for: Mapping[str, Any]) -> str:
    """Claim the next evaluation id of a run, save what was asked for, and return the id.

    Ids are ordinals, not times or random names, so that two runs with one seed stay byte-equal; the claim is a file
    created exclusively, so that two processes never share one.
    """
    directory = Path(run_path) / "evaluations"
    make_directory(directory)
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
