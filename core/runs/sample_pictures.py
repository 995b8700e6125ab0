"""Reads the pictures in a run's samples/ without trusting them: a small PNG file can expand to gigabytes."""

from __future__ import annotations

import struct
from pathlib import Path

from core.runs.files import read_file
from core.runs.limits import MOST_PICTURE_BYTES, MOST_PICTURE_PIXELS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_picture(path: Path) -> bytes:
    """Return the bytes of a PNG file, after its size in pixels has been read from its header.

    Raises:
        OSError: The file cannot be read, is not a regular file of the run, or is too large.
        ValueError: It is not a PNG file, or has too many pixels.
    """
    content = read_file(str(path), MOST_PICTURE_BYTES)
    if content[:8] != _SIGNATURE or content[12:16] != b"IHDR" or len(content) < 24:
        raise ValueError("it is not a PNG file")
    width, height = struct.unpack(">II", content[16:24])
    if width * height > MOST_PICTURE_PIXELS:
        raise ValueError(f"it has {width:,} × {height:,} pixels; accepted: at most {MOST_PICTURE_PIXELS:,}")
    return content
