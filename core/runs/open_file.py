"""Opens regular files of a run only: no pipe, no device, and no link that leads out of the run."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from core.runs.limits import MOST_JSON_BYTES

NO_BLOCK = getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class RefusedFileError(OSError):
    """A file that no reader opens: not a regular one, too large, or a link that leads out of its directory."""


def read_file(path: str, most_bytes: int = MOST_JSON_BYTES) -> bytes:
    """Return the content of a regular file that lies in its own directory; see ``open_file``."""
    descriptor, n_bytes = open_file(path, most_bytes)
    try:
        content = os.read(descriptor, n_bytes + 1)
        if len(content) >= n_bytes:
            return content
        return content + _read_rest(descriptor, n_bytes - len(content))
    finally:
        os.close(descriptor)


def open_file(path: str, most_bytes: int) -> tuple[int, int]:
    """Open a regular file that lies in its own directory; return its descriptor and its size in bytes.

    A named pipe would block and a device may have no end, so neither is read. A symbolic link counts if it leads to a
    file below the same directory.

    Args:
        path: The file.
        most_bytes: The largest file that is read.

    Raises:
        RefusedFileError: It is not a regular file, too large, or a link that leads out of its directory.
        OSError: It is missing or cannot be read.
    """
    descriptor = open_inside(path, os.O_RDONLY | NO_BLOCK)
    try:
        status = os.fstat(descriptor)
        check_regular(status, path)
        if status.st_size > most_bytes:
            raise RefusedFileError(
                errno.EFBIG, f"holds {status.st_size:,} bytes; accepted: at most {most_bytes:,}", path
            )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def open_inside(path: str, flags: int) -> int:
    """Open a file, and return its descriptor; a symbolic link is followed within its directory only."""
    try:
        return os.open(path, flags | _NO_FOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return os.open(_inside(path), flags, 0o666)


def check_regular(status: os.stat_result, path: str) -> None:
    """Raise RefusedFileError unless the status is that of a regular file."""
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFileError(errno.EINVAL, "is not a regular file", path)


def _read_rest(descriptor: int, n_bytes: int) -> bytes:
    """Return the rest of a file of which one read returned a part, as network file systems may do."""
    pieces: list[bytes] = []
    while n_bytes > 0 and (piece := os.read(descriptor, n_bytes + 1)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)


def _inside(path: str) -> str:
    """Return the file that a link leads to; OSError where that lies outside the link's directory."""
    target, directory = _resolved(Path(path)), _resolved(Path(path).parent)
    if not target.is_relative_to(directory):
        raise RefusedFileError(errno.EPERM, "is a link that leads out of the run", path)
    return str(target)


def directory_inside(run_path: str | Path, name: str) -> Path:
    """Return a directory of a run, such as "values/eval-0001", which may be missing.

    Raises:
        RefusedFileError: It is, or lies below, a link that leads out of the run.
    """
    path = Path(run_path) / name
    if not _resolved(path).is_relative_to(_resolved(Path(run_path))):
        raise RefusedFileError(errno.EPERM, "is a link that leads out of the run", str(path))
    return path


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError:  # Python before 3.13
        raise RefusedFileError(errno.ELOOP, "is a link that leads to itself", str(path)) from None
