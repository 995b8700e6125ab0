"""Writing a directory of files: all of them, or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from core.config.errors import ConfigError
from core.runs.files import make_directory, sync_directory, write_atomic


def write_directory(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a directory with these files; it appears when all of them are on disk.

    Args:
        path: The directory. It may exist if it is empty.
        files: The content of each file by its name.

    Raises:
        ConfigError: The directory holds something, or it cannot be written. Nothing was written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"{path} exists already; accepted: a new or empty directory.")
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        make_directory(path.absolute().parent)
        temporary.mkdir()
        for name, content in files.items():
            write_atomic(temporary / name, content)
        temporary.replace(path)
        sync_directory(path.absolute().parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
