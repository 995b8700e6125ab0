"""Run directories: making one, and finding one by path, id, prefix or ``latest``."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from core.config.config import GlobalConfig
from core.config.errors import ConfigError, nearest
from core.runs.files import make_directory

RUN_ID = re.compile(r"\d{8}T\d{12}Z_[0-9a-f]{6}")
#: What a run directory may hold; a directory that holds any one of these is a run's.
PARTS = frozenset(
    {"config.json", "environment.json", "status.json", "training.lock", "metrics.jsonl", "results.jsonl", "tags.json"}
    | {"checkpoints", "evaluations", "samples", "shards", "values"}
)


def generate_run_id() -> str:
    """Return a new run id: UTC time to the microsecond and six random hex digits; ids sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}_{os.urandom(3).hex()}"


def create_experiment_subdir(global_config: GlobalConfig, run_id: str) -> Path:
    """Make a run's directory, and the experiments directory where it is missing.

    Raises:
        ConfigError: The directory cannot be made, or the run exists already: nothing is ever shared or overwritten.
    """
    run_path = global_config.experiments_dir / run_id
    try:
        make_directory(global_config.experiments_dir)
        if run_path.exists():
            raise ConfigError(f"{run_path} exists already; give a new run id, or another --experiments-dir.")
        make_directory(run_path, exist_ok=False)
    except OSError as error:
        raise ConfigError(
            f"experiments directory {global_config.experiments_dir.absolute()} cannot be written "
            f"({error.strerror or error}). Try another: --experiments-dir, PYML_EXPERIMENTS_DIR or "
            "Run(experiments_dir=...)."
        ) from None
    return run_path


def run_ids(experiments_dir: str | Path) -> list[str]:
    """Return the ids of the runs in a directory, oldest first; none where it does not exist."""
    try:
        with os.scandir(experiments_dir) as entries:
            return sorted(entry.name for entry in entries if RUN_ID.fullmatch(entry.name) and entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"experiments directory {experiments_dir} cannot be read ({error.strerror}).") from None


def is_foreign(directory: str | Path) -> bool:
    """Return whether a directory holds files, but none of a run. An empty one may still become a run's."""
    directory = Path(directory)
    with os.scandir(directory) as entries:
        held = {entry.name for entry in entries}
    return bool(held) and not held & PARTS and not RUN_ID.fullmatch(directory.resolve().name)


def has_begun(run_path: str | Path) -> bool:
    """Return whether a directory holds a run that has written anything about itself."""
    from core.runs.config_file import CONFIG  # here, because shells import this module to complete a run's name
    from core.runs.status import STATUS

    return any((Path(run_path) / file.name).is_file() for file in (CONFIG, STATUS))


def resolve_run(spec: str | Path, experiments_dir: str | Path) -> Path:
    """Return the run directory that a path, a run id, a unique prefix of one, or ``latest`` names.

    ``latest`` is the newest run that is not archived.

    Raises:
        ConfigError: No run, or more than one, has this name.
        TypeError: ``spec`` is neither str nor Path.
    """
    if not isinstance(spec, str | Path):
        raise TypeError(
            f"run: got {spec!r} ({type(spec).__name__}); accepted: the run's path as str or Path, its id, or 'latest'. "
            "Try: run.path"
        )
    spec, experiments_dir = str(spec), Path(experiments_dir)
    ids = run_ids(experiments_dir)
    if spec == "latest":
        return _latest(ids, experiments_dir)
    with contextlib.suppress(OSError):  # a name may be too long for a path
        if has_begun(Path(spec)):
            return Path(spec)
    matches = [run_id for run_id in ids if run_id.startswith(spec)] if spec else []
    if spec in matches or len(matches) == 1:
        return experiments_dir / (spec if spec in matches else matches[0])
    if matches:
        listed = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
        raise ConfigError(
            f"run {spec!r} is ambiguous: {len(matches)} runs begin with it ({listed}). Give more of the id."
        )
    raise ConfigError(
        f"no run {spec!r} in {experiments_dir} ({len(ids)} runs) and no run directory of that name."
        f"{nearest(spec, ids)} Accepted: a path, a run id, a unique prefix of one, or latest."
    )


def _latest(ids: list[str], experiments_dir: Path) -> Path:
    from core.runs.config_file import CONFIG  # here, as in has_begun
    from core.runs.tags import Tags, read_tags

    n_archived = 0
    for run_id in reversed(ids):
        # Of a run that was killed before it wrote its config, nothing can be continued or evaluated.
        if not (experiments_dir / run_id / CONFIG.name).is_file():
            continue
        tags = read_tags(experiments_dir / run_id)
        if not (isinstance(tags, Tags) and tags.archived):
            return experiments_dir / run_id
        n_archived += 1
    if n_archived:
        raise ConfigError(
            f"{experiments_dir}: holds archived runs only ({n_archived:,}). Give the id of a run, or bring one back: "
            "pyml unarchive RUN."
        )
    raise ConfigError(f"{experiments_dir}: holds no run yet. Try: pyml-train, or --experiments-dir DIR.")
