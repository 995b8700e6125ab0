"""What the processes of the concurrency tests do. Each is forked from one process that has imported everything."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.runs import Run, environment, session
from core.runs.fast_results import read_results
from core.runs.result_log import log_record, read_result_log
from core.utils.results import ResultMetadata, ResultRecord, ScalarResult
from results.database import ResultsDatabase


def forked(works: list[Callable[[], object]]) -> list[int]:
    """Run each function in a process of its own, all at once; return their exit codes. Output goes nowhere."""
    _environment()
    children = []
    start, go = os.pipe()
    for work in works:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(go)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                session.save_environment = _save_environment  # here, so that other tests keep the real one
                os.read(start, 1)  # returns when the parent closes its end
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    os.close(start)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


_environment = functools.cache(environment.describe_environment)


def _save_environment(run_path: str | Path, **more: Any) -> None:
    """Write environment.json with the versions of packages that the parent read; reading them costs more than a run."""
    environment.ENVIRONMENT.write(run_path, _environment() | more)


def start_run(directory: Path, seed: int) -> None:
    """Write a whole short run."""
    with Run({"model": "line", "seed": seed}, experiments_dir=directory) as run:
        run.meter.update(loss=[0.5, 0.25])
        run.log_curve(1)
        run.log_result("accuracy", [0.0, 1.0, 1.0, float(seed % 2)], unit="image")


def append(run_path: Path, writer: int, n: int) -> None:
    """Append n records that no other process appends."""
    for i in range(n):
        metadata = ResultMetadata(f"m{writer}/{i}", unit="image")
        log_record(ResultRecord(metadata, ScalarResult(writer + i / 1000, 0.1, 5)), run_path)


def read_until(run_path: Path, n: int) -> None:
    """Read until n records are there: none is ever torn, lost or reordered, whatever the writers do."""
    before: list[str] = []
    while len(before) < n:
        log = read_result_log(run_path)
        names = [entry.record.metadata.name for entry in log.entries]
        torn = [fault for fault in log.faults if "not valid JSON" not in str(fault)]  # a line may still be on its way
        assert names[: len(before)] == before
        assert not torn
        read_results(run_path)
        before = names


def read_runs_until(directory: Path, n: int) -> None:
    """Read the directory until n runs are finished; a run that is finished has its result."""
    n_finished = 0
    while n_finished < n:
        database = ResultsDatabase(directory).read()
        finished = [run for run in database if run.status.state == "finished"]
        assert all(len(run.measures) == 1 for run in finished)
        assert len(finished) >= n_finished
        n_finished = len(finished)
