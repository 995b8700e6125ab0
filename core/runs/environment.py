"""What a run ran on: versions, host, commit, command line."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from core.runs.files import RunFile

ENVIRONMENT = RunFile("environment.json", "pyml.environment/1")


def describe_environment(**more: Any) -> dict[str, Any]:
    """Return environment.json's content; ``more`` adds what only the caller knows, such as the device.

    The commit is that of the repository the process was started in: the user's own code, as a rule. Dirty means that a
    tracked file differs from it; files that git does not track, such as the runs themselves, do not count.
    """
    packages: dict[str, str] = {}
    for dist in importlib.metadata.distributions():
        if dist.name:
            packages.setdefault(dist.name, dist.version)  # the first on the path is the one that is imported
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": packages.get("torch"),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
        "host": socket.gethostname(),
        "n_cpus": os.cpu_count(),
        "working_directory": str(Path.cwd()),
        "git_commit": commit,
        "git_dirty": None if commit is None or changes is None else bool(changes),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **more,
    }


def save_environment(run_path: str | Path, **more: Any) -> None:
    """Write a run's environment.json; when the run continues, environment-2.json and so on: the first stays true."""
    file, part = ENVIRONMENT, 1
    while (Path(run_path) / file.name).exists():
        part += 1
        file = RunFile(f"environment-{part}.json", ENVIRONMENT.schema)
    file.write(run_path, describe_environment(**more))


def _git(*arguments: str) -> str | None:
    """Return what git prints, or None where there is no git, no repository or no answer within five seconds."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
