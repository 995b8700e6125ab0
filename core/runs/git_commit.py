"""The commit of the user's own code, read without running anything that the repository configures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TIMEOUT_S = 5.0
_PROGRAMS = (".clean", ".smudge", ".process")  # what a content filter may name


def read_commit(directory: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the repository that holds a directory, and whether a tracked file differs from it.

    A repository's own configuration can name programs for git to run: a file system monitor, hooks, content filters,
    and the programs that fetch missing objects. All of them are switched off, and the index is not rewritten. If git
    requires a content filter, or if one cannot be switched off, whether a file differs is unknown.

    Returns:
        The commit's hash, or None where there is no git, no repository or no answer within five seconds; and
        whether it is dirty, None where unknown.
    """
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, None
    listed = _git(directory, "config", "-z", "--name-only", "--list")
    if listed is None:
        return commit, None
    names = [name for name in listed.split("\0") if name.startswith("filter.") and name.endswith(_PROGRAMS)]
    if any("=" in name for name in names):  # git would read another name, up to the first "="
        return commit, None
    off = [option for name in names for option in ("-c", f"{name}=")]
    changes = _git(directory, *off, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
    return commit, None if changes is None else bool(changes)


def _git(directory: Path, *arguments: str) -> str | None:
    safe = ["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]
    try:
        done = subprocess.run(
            ["git", *safe, *arguments],
            cwd=directory,
            env={**os.environ, "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return os.fsdecode(done.stdout).strip("\n")  # keeps bytes that are not UTF-8, which a filter's name may hold
