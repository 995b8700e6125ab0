"""A run's environment.json: versions, host, git commit and command line."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import re
import shlex
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.runs import strict_json
from core.runs.files import RunFile, read_file
from core.runs.git_commit import read_commit
from core.runs.redact import redacted

RECORD_VARIABLE = "PYML_RECORD"  # "minimal" leaves out the host, the working directory and the command line
ENVIRONMENT = RunFile("environment.json", "pyml.environment/1")
_COMMAND = '\n  "command": '  # as the file is written; a newline cannot stand inside a JSON string

_NAME, _VERSION = (re.compile(rf"^{field}:[ \t]*(\S+)[ \t]*$", re.MULTILINE) for field in ("Name", "Version"))


def describe_environment(**more: Any) -> dict[str, Any]:
    """Return the content of environment.json. ``more`` adds fields that only the caller knows, such as the device.

    The commit is that of the repository in which the process was started, usually the user's own code. Dirty means that
    a tracked file differs from the commit. Untracked files, such as the runs themselves, do not count.
    """
    packages = installed_packages()
    commit, is_dirty = read_commit(Path.cwd())
    private: dict[str, str | None] = {
        "host": socket.gethostname(),
        "working_directory": str(Path.cwd()),
        "command": shlex.join(redacted([Path(sys.argv[0]).name, *sys.argv[1:]])),
    }
    if os.environ.get(RECORD_VARIABLE, "full") == "minimal":
        private = dict.fromkeys(private)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": packages.get("torch"),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
        "host": private["host"],
        "n_cpus": os.cpu_count(),
        "working_directory": private["working_directory"],
        "git_commit": commit,
        "git_dirty": is_dirty,
        "command": private["command"],
        **more,
    }


def save_environment(run_path: str | Path, **more: Any) -> None:
    """Write a run's environment.json. A run that continues writes environment-2.json, and so on."""
    part = 1
    while (Path(run_path) / _file(part).name).exists():
        part += 1
    _file(part).write(run_path, describe_environment(**more))


def last_world_size(run_path: str | Path) -> int | None:
    """Return how many processes trained a run last; None if that is not known."""
    size, part = None, 1
    while isinstance(content := _file(part).read(run_path), dict):
        size, part = content.get("world_size"), part + 1
    return size if type(size) is int else None


def _file(part: int) -> RunFile:
    return ENVIRONMENT if part == 1 else RunFile(f"environment-{part}.json", ENVIRONMENT.schema)


def installed_packages() -> dict[str, str]:
    """Return the version of each installed package by name; one whose metadata cannot be read is left out."""
    packages: dict[str, str] = {}
    for dist in importlib.metadata.distributions():
        try:
            name, version = _name_and_version(dist)
            if name:
                packages.setdefault(name, version)  # Python imports the first one on its path
        except Exception:  # a stranger's damaged metadata, which may raise anything, is not our failure
            continue
    return packages


def _name_and_version(dist: importlib.metadata.Distribution) -> tuple[str, str]:
    """Return the fields Name and Version of a package's metadata.

    importlib.metadata parses the whole file, readme included, at each access: a third of a second for 120 packages.
    """
    headers = (dist.read_text("METADATA") or "").partition("\n\n")[0]
    name, version = _NAME.search(headers), _VERSION.search(headers)
    if name is None or version is None:  # another format, such as that of an egg
        return dist.name, dist.version
    return name[1], version[1]


def read_environment_fields(run_path: str | Path) -> Mapping[str, Any]:
    """Return a run's environment without its packages; empty if it cannot be read.

    The list of packages is most of the file. It is cut out before the rest is parsed, because commands read the
    environments of thousands of runs. A newline cannot stand inside a JSON string, so the cut is that of the list, or
    what remains is not JSON and the whole file is parsed.
    """
    try:
        content = read_file(f"{run_path}/{ENVIRONMENT.name}").decode()
    except (OSError, ValueError):
        return {}
    before, _, rest = content.partition('\n  "packages": {\n')
    _, cut, after = rest.partition("\n  }")
    with contextlib.suppress(ValueError):
        if cut:
            found = _parsed_but_for_command(f'{before}\n  "packages": {{}}{after}')
            return found if isinstance(found, dict) else {}
    with contextlib.suppress(ValueError):
        found = strict_json.loads(content)
        return found if isinstance(found, dict) else {}
    return {}


def _parsed_but_for_command(text: str) -> Any:
    """Parse an environment. Most runs of a directory differ in the command only, so the rest is parsed once."""
    before, found, rest = text.partition(_COMMAND)
    command, newline, after = rest.partition("\n")
    if not (found and newline) or _COMMAND in rest:
        return strict_json.loads(text)
    comma = "," if command.endswith(",") else ""
    shared = _parsed(f"{before}{_COMMAND}null{comma}\n{after}")
    return {**shared, "command": strict_json.loads(command.removesuffix(","))} if isinstance(shared, dict) else shared


_parsed = functools.lru_cache(maxsize=1024)(strict_json.loads)
