"""The run directories in an experiments directory."""

from __future__ import annotations

import os
from pathlib import Path

from core.config.errors import ConfigError, nearest
from core.runs.config_file import CONFIG
from core.runs.directory import RUN_ID
from core.runs.status import STATUS

REMEDY = "Try the folder in which your runs started, or give another with --experiments-dir or PYML_EXPERIMENTS_DIR."


def run_directories(directory: str) -> list[str]:
    """Return the run directories, sorted by name.

    A run directory has a run id as its name, or holds config.json or status.json.

    Raises:
        ConfigError: The directory does not exist or cannot be read.
    """
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if _is_run(entry))
    except FileNotFoundError:
        raise ConfigError(f"there is no experiments directory {directory}.{_near(Path(directory))} {REMEDY}") from None
    except OSError as error:
        raise ConfigError(f"experiments directory {directory} cannot be read ({error.strerror}). {REMEDY}") from None
    return [os.path.join(directory, name) for name in names]  # noqa: PTH118 - a Path each would cost 50 ms in 10,000


def _is_run(entry: os.DirEntry[str]) -> bool:
    if not entry.is_dir():
        return False
    if RUN_ID.fullmatch(entry.name):
        return True
    return any(os.path.isfile(f"{entry.path}/{file.name}") for file in (CONFIG, STATUS))  # noqa: PTH113 - as above


def _near(directory: Path) -> str:
    parent = directory.resolve().parent
    return nearest(directory.name, [path.name for path in parent.iterdir() if path.is_dir()]) if parent.is_dir() else ""
