"""The checkpoints of a run: their names, and the files that hold them."""

from __future__ import annotations

import re
from pathlib import Path

from core.config.errors import ConfigError
from core.utils.metadata import BEST as BEST  # also importable from here

LAST = "last"
NAME = re.compile(r"last|best|step-(\d{1,18})")


def step_name(step: int) -> str:
    """Return the name of the checkpoint that is kept of a step: "step-12000"."""
    return f"step-{step}"


def checkpoint_path(run_path: str | Path, name: str = LAST) -> Path:
    """Return the path of one of a run's checkpoints.

    Args:
        run_path: The run directory.
        name: "last", "best" or "step-N".

    Raises:
        ConfigError: It is none of these.
    """
    named = NAME.fullmatch(name)
    if named is None:
        raise ConfigError(f"checkpoint: got {name!r}; accepted: last, best, or step-N with the number of a step.")
    stem = name if named[1] is None else f"step-{int(named[1]):08d}"  # so that their names sort by step
    return Path(run_path) / "checkpoints" / f"{stem}.pt"


def name_of(path: Path) -> str:
    """Return the name of the checkpoint in a file: "last", "best" or "step-12000"."""
    named = NAME.fullmatch(path.stem)
    return path.stem if named is None or named[1] is None else step_name(int(named[1]))


def checkpoint_names(run_path: str | Path) -> list[str]:
    """Return the names of the checkpoints that a run has."""
    paths = sorted((Path(run_path) / "checkpoints").glob("*.pt"))
    return [name_of(path) for path in paths if NAME.fullmatch(path.stem)]
