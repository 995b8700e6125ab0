"""New run ids that a sweep's jobs took on other machines, where sweep.json must not be written: one file per job."""

from __future__ import annotations

from pathlib import Path

from core.runs.directory import RUN_ID
from core.runs.files import make_directory, read_file, write_atomic

DIRECTORY = "renewed"
MOST_BYTES = 100  # a run id has 30


def write_run_id(sweep_path: Path, index: int, run_id: str) -> None:
    """Write down the new run id of the sweep's job ``index``."""
    make_directory(sweep_path / DIRECTORY)
    write_atomic(_file(sweep_path, index), f"{run_id}\n".encode())


def newer_run_id(sweep_path: Path, index: int, run_id: str) -> str:
    """Return the newer of ``run_id`` and what was written down for the sweep's job ``index``; ids sort by time."""
    try:
        found = read_file(str(_file(sweep_path, index)), MOST_BYTES).decode().strip()
    except (OSError, ValueError):
        return run_id
    return max(run_id, found) if RUN_ID.fullmatch(found) else run_id


def _file(sweep_path: Path, index: int) -> Path:
    return sweep_path / DIRECTORY / f"{index:04d}"
