"""The commit of the user's own code, read without running anything that the repository configures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TIMEOUT_S = 5.0


def read_commit(directory: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the repository that holds a directory, and whether a tracked file differs from it.

    A repository's own configuration can name programs for git to run: a file system monitor, hooks and content filters.
    All of them are switched off, and the index is not rewritten. If git requires a content filter, whether a file
    differs is unknown.

    Returns:
        The commit's hash, or None where there is no git, no repository or no answer within five seconds; and
        whether it is dirty, None where unknown.
    """
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, None
    names = _git(directory, "config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|smudge|process)$") or ""
    off = [option for name in names.split("\n") if name for option in ("-c", f"{name}=")]
    changes = _git(directory, *off, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
    return commit, None if changes is None else bool(changes)


def _git(directory: Path, *arguments: str) -> str | None:
    safe = ["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]
    try:
        done = subprocess.run(
            ["git", *safe, *arguments],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()
