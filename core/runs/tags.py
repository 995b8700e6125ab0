"""A run's tags.json: what a person says about a run. Tags, a note, and whether the run is archived.

Nothing else of a run depends on this file, and a run without it has no tags. Its writer replaces it as a whole.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from core.config.errors import ConfigError
from core.runs.files import Fault, RunFile

if sys.platform != "win32":
    import fcntl

TAGS = RunFile("tags.json", "pyml.tags/1")
MOST_TAGS = 50
MOST_NOTE = 10_000  # characters
_TAG = re.compile(r"[^\W_][\w.:/-]{0,49}")  # begins with a letter or digit, so that +good and -old are changes
ACCEPTED = "1 to 50 letters, digits or any of _ . : / -, beginning with a letter or digit"


@frozen
class Tags:
    """What a person says about a run.

    Attributes:
        tags: The tags, sorted, each once.
        note: A text of any length up to ``MOST_NOTE`` characters; "" for none.
        archived: Whether lists, tables and comparisons leave the run out.
    """

    tags: tuple[str, ...] = ()
    note: str = ""
    archived: bool = False


NONE = Tags()


def read_tags(run_path: str | Path) -> Tags | Fault:
    """Return what tags.json says; no tags if there is no such file; a fault if it cannot be read."""
    if not os.path.lexists(f"{run_path}/{TAGS.name}"):  # 2 µs; most of 10,000 runs have none
        return NONE
    content = TAGS.read(run_path)
    if isinstance(content, Fault):
        return content
    reason = _why_invalid(content)
    if reason:
        return Fault(Path(run_path) / TAGS.name, reason)
    return Tags(tuple(sorted(set(content.get("tags", ())))), content.get("note", ""), content.get("archived", False))


@contextlib.contextmanager
def held_tags(run_paths: Iterable[str | Path]) -> Iterator[None]:
    """Lock the tags of these runs from reading them to saving them; waits until other processes are done.

    The lock is on the runs' parent directory: tags.json is replaced as a whole, so a lock on it would be lost with it,
    and a run's own directory is locked while it trains. Nothing is locked on Windows and on file systems without locks.
    """
    with contextlib.ExitStack() as stack:
        for parent in sorted({Path(path).resolve().parent for path in run_paths}):  # sorted, so that nobody deadlocks
            if sys.platform != "win32":
                with contextlib.suppress(OSError):
                    descriptor = os.open(parent, os.O_RDONLY)
                    stack.callback(os.close, descriptor)  # releases the lock
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def save_tags(run_path: str | Path, tags: Tags) -> None:
    """Replace tags.json.

    Raises:
        OSError: It cannot be written; the old file is left as it was.
    """
    TAGS.write(run_path, {"tags": list(tags.tags), "note": tags.note, "archived": tags.archived})


def changed(tags: Iterable[str], add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[str, ...]:
    """Return tags with some added and some removed, sorted. Removing a tag that is not there changes nothing.

    Raises:
        ConfigError: A tag has characters that tags do not have, or there would be more than ``MOST_TAGS``.
    """
    add, remove = list(add), list(remove)
    faults = [f"tag {tag!r}: accepted: {ACCEPTED}." for tag in [*add, *remove] if not _TAG.fullmatch(tag)]
    faults += [f"tag {tag!r}: cannot be added and removed at once." for tag in add if tag in remove]
    made = tuple(sorted((set(tags) | set(add)) - set(remove)))
    if len(made) > MOST_TAGS:
        faults.append(f"got {len(made)} tags; accepted: at most {MOST_TAGS}.")
    if faults:
        raise ConfigError(*faults)
    return made


def checked_note(text: str) -> str:
    """Return a note without white space around it.

    Raises:
        ConfigError: It is longer than ``MOST_NOTE`` characters.
    """
    note = text.strip()
    if len(note) > MOST_NOTE:
        raise ConfigError(f"note: got {len(note):,} characters; accepted: at most {MOST_NOTE:,}.")
    return note


def _why_invalid(content: dict[str, Any]) -> str:
    tags, note, archived = content.get("tags", []), content.get("note", ""), content.get("archived", False)
    if not isinstance(tags, list) or len(tags) > MOST_TAGS:
        return f"tags: accepted: a list of at most {MOST_TAGS} tags"
    wrong = [tag for tag in tags if not (isinstance(tag, str) and _TAG.fullmatch(tag))]
    if wrong:
        return f"tags: got {wrong[0]!r}; accepted: {ACCEPTED}"
    if not isinstance(note, str) or len(note) > MOST_NOTE:
        return f"note: accepted: a text of at most {MOST_NOTE:,} characters"
    return "" if isinstance(archived, bool) else f"archived: got {archived!r}; accepted: true or false"
