"""Importing MLflow's file store: what is new becomes run directories, each whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from core.runs.environment import read_environment_fields
from core.runs.files import Fault, make_directory, sync_directory
from results.exchange import imported
from results.exchange.mlflow_store import StoredRun, read_content, read_run, run_directories

UNFINISHED = {"RUNNING", "SCHEDULED"}


@define
class Import:
    """What an import did.

    Attributes:
        new: The ids of the runs that were imported.
        n_before: How many had been imported before.
        n_deleted: How many were left out because they were deleted in MLflow.
        n_unfinished: How many were left out because MLflow says that they still run.
        faults: The runs that could not be read, and why.
    """

    new: list[str] = field(factory=list)
    n_before: int = 0
    n_deleted: int = 0
    n_unfinished: int = 0
    faults: list[Fault] = field(factory=list)


def import_mlruns(store: str | Path, experiments_dir: str | Path, *, unfinished: bool = False) -> Import:
    """Import the runs of a store that are not yet in an experiments directory.

    Everything is written into a temporary directory and renamed at the end, so that no reader sees a part of a run.

    Args:
        store: MLflow's directory.
        experiments_dir: Where the run directories are made.
        unfinished: Whether to import runs, too, that MLflow calls running, as interrupted.

    Raises:
        ConfigError: ``store`` is no file store, or PyYAML is not installed.
        OSError: The experiments directory cannot be written. No run was added.
    """
    store, experiments_dir = Path(store), Path(experiments_dir)
    done, used = Import(), set[str]()
    directories = run_directories(store)
    with _temporary(experiments_dir) as place:
        for path, experiment in directories:
            try:
                run = read_run(path, experiment)
                if run.is_deleted:
                    done.n_deleted += 1
                elif run.status in UNFINISHED and not unfinished:
                    done.n_unfinished += 1
                elif (run_id := _new_id(run, experiments_dir, used)) is None:
                    done.n_before += 1
                else:
                    imported.write(place / run_id, imported.files_of(run, read_content(run)))
                    done.new.append(run_id)
            except ValueError as error:
                done.faults.append(Fault(path, str(error).removeprefix(f"{path}{os.sep}")))
        _sync()
        done.new = [run_id for run_id in done.new if _moved(place / run_id, experiments_dir / run_id)]
    sync_directory(experiments_dir)
    return done


def _new_id(run: StoredRun, experiments_dir: Path, used: set[str]) -> str | None:
    """Return the id under which to import a run; None if it has been imported before."""
    for run_id in imported.ids(run):
        if run_id in used:
            continue
        if not (experiments_dir / run_id).exists():
            used.add(run_id)
            return run_id
        if imported.is_run(read_environment_fields(experiments_dir / run_id), run):
            return None
    raise OSError(f"{experiments_dir}: every id for the MLflow run {run.id} is taken by another run")


@contextmanager
def _temporary(experiments_dir: Path) -> Iterator[Path]:
    """Make a directory beside the runs, which lists of runs do not see; remove it at the end."""
    make_directory(experiments_dir)
    for old in experiments_dir.glob(".import-*.tmp"):
        if old.stat().st_mtime < time.time() - 3600:  # of an import that was killed
            shutil.rmtree(old, ignore_errors=True)
    place = experiments_dir / f".import-{os.urandom(4).hex()}.tmp"
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _moved(new: Path, run_path: Path) -> bool:
    """Rename a run directory; return False where another import, at the same time, was faster."""
    try:
        new.rename(run_path)
    except OSError:
        if not run_path.exists():
            raise
        return False
    return True


def _sync() -> None:
    """Wait until all files are on disk: once for all runs, because a wait per file takes minutes for 1,000 runs."""
    if hasattr(os, "sync"):
        os.sync()
