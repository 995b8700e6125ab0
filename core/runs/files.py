"""Write files so that a crash cannot damage them: replaced whole, or one JSON record appended at a time. Read them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from attrs import frozen

from core.runs import strict_json
from core.runs.limits import MOST_LINES_BYTES
from core.runs.open_file import NO_BLOCK, check_regular, open_inside
from core.runs.open_file import RefusedFileError as RefusedFileError  # also importable from here
from core.runs.open_file import read_file as read_file
from core.utils.output import printable


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces ``path`` when the block ends without an exception.

    The content is on disk (fsync) before the file is renamed, and the new name is on disk when the block returns.
    After an exception, or a crash at any moment, the old file is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_atomic(path: Path, content: bytes) -> None:
    """Replace the file completely, or leave it unchanged."""
    with replacing(path) as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Replace the file completely with strict, indented JSON."""
    write_atomic(path, (strict_json.dumps(value, indent=2) + "\n").encode("utf-8", "backslashreplace"))


def sync_directory(path: Path) -> None:
    """Write a new or renamed entry of the directory to disk. Does nothing on Windows, which cannot sync directories."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, *, exist_ok: bool = True) -> None:
    """Make a directory and its parents where they are missing; their entries are on disk when this returns.

    Raises:
        FileExistsError: It exists already, and ``exist_ok`` is False.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=exist_ok)
    for each in reversed(missing):
        sync_directory(each.parent)


def remove_leftovers(directory: Path, *patterns: str) -> None:
    """Remove the temporary files that killed writers of these files left behind; nobody else may be writing them."""
    for pattern in patterns:
        for path in directory.glob(f".{pattern}.{'[0-9a-f]' * 8}.tmp"):
            with contextlib.suppress(OSError):
                path.unlink()


def append_json_line(path: Path, value: Any) -> None:
    """Append one record; it is on disk when this returns. Many processes may append to one file.

    The record and a newline are one write to a file opened for appending. If the byte before is not a newline, a
    writer crashed in the middle of a line, and the record is appended again. So every record is whole and on a line of
    its own.

    Raises:
        RefusedFileError: No reader would open the file; see ``open_file``.
        OSError: The record could not be written completely. Readers skip the part that was written.
    """
    line = strict_json.dumps(value).encode("utf-8", "backslashreplace") + b"\n"
    is_new = not path.exists()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_BLOCK
    descriptor = open_inside(str(path), flags)
    try:
        check_regular(os.fstat(descriptor), str(path))
        while not _append(descriptor, line, path):
            pass  # the next attempt follows the newline of this one, so that it ends
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_directory(path.parent)


def _append(descriptor: int, line: bytes, path: Path) -> bool:
    """Write a line at the end of the file and return whether it begins a line."""
    written = os.write(descriptor, line)
    if written != len(line):
        raise OSError(f"{path}: only {written} of {len(line)} bytes could be written; is the disk full?")
    # After an appending write the position is the end of this write, even if others have appended since (POSIX).
    start = os.lseek(descriptor, 0, os.SEEK_CUR) - len(line)
    if start == 0:
        return True
    os.lseek(descriptor, start - 1, os.SEEK_SET)
    return os.read(descriptor, 1) == b"\n"


@frozen
class Fault:
    """A file or line of a run that could not be read, and why.

    Attributes:
        path: The file.
        reason: Why.
        line_number: The line, None for the whole file.
        is_unread: Whether the system could not read the file, for example for EIO: it may be whole.
    """

    path: Path
    reason: str
    line_number: int | None = None
    is_unread: bool = False

    def __str__(self) -> str:
        line = "" if self.line_number is None else f", line {self.line_number}"
        return printable(f"{self.path}{line}: {self.reason}")


@frozen
class RunFile:
    """A JSON file of a run that is replaced as a whole: its name in the run directory, and its schema."""

    name: str
    schema: str

    def write(self, run_path: str | Path, fields: Mapping[str, Any]) -> Path:
        """Replace the file and return its path; the schema is its first field."""
        path = Path(run_path) / self.name
        write_json(path, {"schema": self.schema, **fields})
        return path

    def read(self, run_path: str | Path) -> dict[str, Any] | Fault:
        """Return the file's content, or why it cannot be read."""
        path = f"{run_path}/{self.name}"  # a Path would cost 50 ms in 10,000 runs
        try:
            text = read_file(path).decode()
        except FileNotFoundError:
            return Fault(Path(path), "is missing")
        except OSError as error:
            return Fault(Path(path), f"cannot be read ({error.strerror or error})", is_unread=True)
        except ValueError as error:
            return Fault(Path(path), f"is not valid JSON ({error})")
        return self.parsed(text, run_path)

    def parsed(self, text: str, run_path: str | Path) -> dict[str, Any] | Fault:
        """Return the content that the file's text stands for, or why it cannot be used."""
        content = parse_object(text, self.schema)
        return Fault(Path(run_path) / self.name, content) if isinstance(content, str) else content


def parse_object(text: str, schema: str) -> dict[str, Any] | str:
    """Return the JSON object of this schema that a text stands for, or why it is none."""
    try:
        content = strict_json.loads(text)
    except ValueError as error:
        return f"is not valid JSON ({error})"
    if not isinstance(content, dict):
        return f"holds a {type(content).__name__}, not an object"
    if content.get("schema") != schema:
        return f"has schema {content.get('schema')!r}; this version reads {schema!r}"
    return content


def read_before_replacing(file: RunFile, run_path: str | Path) -> dict[str, Any]:
    """Return what a file holds that is about to be replaced; {} if it is missing or damaged.

    Raises:
        OSError: It cannot be read now. Replacing it would lose what it holds.
    """
    saved = file.read(run_path)
    if not isinstance(saved, Fault):
        return saved
    if saved.is_unread:
        raise OSError(errno.EIO, f"{saved}; try again")
    return {}


def read_json_lines(path: Path) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Read a file of JSON lines. Skip blank lines; skip and report lines that cannot be read. Never change the file.

    A file that does not exist has no lines. One that cannot be read is one fault.
    """
    try:
        content = read_file(str(path), MOST_LINES_BYTES)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [Fault(path, f"cannot be read ({error.strerror or error})")]
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = strict_json.loads(line.decode())
        except ValueError as error:
            faults.append(Fault(path, f"not valid JSON ({error}); the line is skipped", number))
            continue
        if isinstance(row, dict):
            rows.append(row)
        else:
            faults.append(Fault(path, f"got a {type(row).__name__}, not an object; the line is skipped", number))
    return rows, faults
