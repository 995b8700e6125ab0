"""NumPy archives (.npz) of a run: read only after their size and their checksums have been verified."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.runs.files import read_file, write_atomic
from core.runs.limits import MOST_VALUES_BYTES


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Replace the file completely with these arrays, or leave it unchanged."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name.

    A flipped bit would otherwise change a comparison silently, and a small file could expand to more than the memory.

    Raises:
        ValueError: The file cannot be used; the message says why.
    """
    try:
        content = read_file(str(path), MOST_VALUES_BYTES)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_VALUES_BYTES:
                raise ValueError(f"expands to more than {MOST_VALUES_BYTES:,} bytes")
            if (bad := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {bad} is wrong")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # damage ends in zlib, LZMA, tokenize and many other errors: each is one unusable file
        raise ValueError(f"{type(error).__name__}: {error}") from None
