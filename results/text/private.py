"""Leave hosts, users and paths out of what is published: each becomes a placeholder with a number."""

from __future__ import annotations

import contextlib
import functools
import getpass
import re
import socket
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

from core.runs.environment import ENVIRONMENT
from core.runs.files import Fault
from core.runs.status import STATUS
from results.run import Run

_NAME = r"[^\s/\\'\",;:<>|()\[\]=]+"
_PATH = re.compile(
    rf"file://\S+|(?<![\w/.\\<>\]])(?:~\w*)?/(?:{_NAME}/)*{_NAME}/?|\b[A-Za-z]:\\[^\s'\"<>|]+|\\\\{_NAME}\\[^\s'\"<>|]+"
)
_USER_IN_PATH = re.compile(r"/(?:home|Users)/([\w.-]+)|\\Users\\([\w.-]+)")
#: Accounts that say nothing of a person, and are words that a report needs.
_NO_PERSON = {"root", "user", "test", "train", "data", "admin", "ubuntu", "model"}
_PATH_FIELDS = ("data_dir", "data_dir_absolute", "working_directory")

_current: ContextVar[Redaction | None] = ContextVar("redaction", default=None)


class Redaction:
    """Replaces private text. Equal text gets the same placeholder, so that groups of runs stay apart.

    Args:
        paths: Paths that are known, which may hold spaces.
        hosts: Names of computers.
        users: Names of accounts.
    """

    def __init__(self, paths: Iterable[str], hosts: Iterable[str], users: Iterable[str]) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        longest_first = [sorted({*names}, key=len, reverse=True) for names in (paths, hosts, users)]
        self._paths = [
            re.compile(rf"{re.escape(name)}(?:[/\\\\]{_NAME})*") for name in longest_first[0] if len(name) > 1
        ]
        self._names = [
            (kind, re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])"))
            for kind, names in (("host", longest_first[1]), ("user", longest_first[2]))
            for name in names
        ]

    def __call__(self, text: str) -> str:
        """Return the text without anything private."""
        for pattern in (*self._paths, _PATH):
            text = pattern.sub(functools.partial(self._replace, "path"), text)
        for kind, pattern in self._names:
            text = pattern.sub(functools.partial(self._replace, kind), text)
        return text

    def _replace(self, kind: str, found: re.Match[str]) -> str:
        number = self._numbers.setdefault((kind, found[0]), 1 + sum(known == kind for known, _ in self._numbers))
        return f"[{kind} {number}]"


def redaction_of(runs: Iterable[Run], directory: str) -> Redaction:
    """Return the redaction for a report about these runs: their hosts, paths and users, and those of this process.

    Args:
        runs: The runs.
        directory: The experiments directory.
    """
    paths, hosts = {directory}, {socket.gethostname(), socket.getfqdn()}
    for run in runs:
        saved = STATUS.read(run.path)
        environment = ENVIRONMENT.read(run.path)
        for content in (saved, environment):
            fields = {} if isinstance(content, Fault) else content
            hosts.add(str(fields.get("host") or ""))
            paths.add(str(fields.get("working_directory") or ""))
        paths |= {str(run.config[name]) for name in _PATH_FIELDS if run.config.get(name)}
    users = {name for path in paths for found in _USER_IN_PATH.finditer(path) for name in found.groups() if name}
    with contextlib.suppress(OSError, KeyError):  # a container may have no name for its user
        users.add(getpass.getuser())
    hosts |= {host.partition(".")[0] for host in hosts}
    return Redaction(
        paths, hosts - {"", "localhost"}, {user for user in users if user not in _NO_PERSON and len(user) > 2}
    )


@contextlib.contextmanager
def published(redaction: Redaction | None) -> Iterator[None]:
    """Apply a redaction to all text of reports and figures while the block runs; None changes nothing."""
    token = _current.set(redaction)
    try:
        yield
    finally:
        _current.reset(token)


def public(text: str) -> str:
    """Return text without what is private, if a redaction applies now."""
    redaction = _current.get()
    return text if redaction is None else redaction(text)
