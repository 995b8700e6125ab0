"""Sessions in a run directory: one that trains, and one that adds an evaluation to an existing run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.config.config import GlobalConfig
from core.config.errors import ConfigError
from core.runs.config_file import CONFIG, save_config
from core.runs.directory import create_experiment_subdir, generate_run_id
from core.runs.environment import save_environment
from core.runs.evaluations import TRAINING, finish_evaluation, start_evaluation
from core.runs.files import make_directory, remove_leftovers
from core.runs.status import STATUS, RunStatus
from core.utils.signals import TerminatesRun


class TrainingSession:
    """Training in a run directory: environment, config, heartbeat, and at the end how it ended.

    Args:
        config: The config's fields, as config.json holds them; None leaves config.json as it is.
        path: The run directory; None makes a new one in ``experiments_dir``.
        experiments_dir: Where a new run directory is made; None: the default of GlobalConfig.
        continues: Whether the directory already holds this run.
        plugins: See ``save_config``.
        found_in_data: See ``save_config``.
        environment: More fields for environment.json.
        force: See ``RunStatus``.
    """

    def __init__(
        self,
        config: dict[str, Any] | None,
        *,
        path: Path | None = None,
        experiments_dir: str | Path | None = None,
        continues: bool = False,
        plugins: Mapping[str, Mapping[str, str]] | None = None,
        found_in_data: Sequence[str] = (),
        environment: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> None:
        self._force = force
        self.path, self.evaluation = path, TRAINING
        self._config, self._plugins, self._found_in_data = config, plugins, found_in_data
        self._environment, self._continues = dict(environment or {}), continues
        self._where = GlobalConfig()
        if experiments_dir is not None:
            self._where = GlobalConfig(experiments_dir=Path(experiments_dir))
        self._signals = TerminatesRun()
        self._status: RunStatus | None = None

    def begin(self) -> Path:
        """Make or claim the directory, write what is known at the start, and return the directory.

        Raises:
            ConfigError: The directory cannot be made, already holds a run, or another process trains in it.
        """
        if self.path is None:
            self.path = create_experiment_subdir(self._where, generate_run_id())
        elif not self._continues:
            _make_empty(self.path)
        status = RunStatus(self.path, force=self._force)
        status.__enter__()
        self._status = status
        self._signals.__enter__()
        try:
            self._remove_leftovers(self.path)
            save_environment(self.path, **self._environment)
            if self._config is not None:
                save_config(self.path, self._config, self._plugins, self._found_in_data)
        except BaseException as error:
            self.end(error, 0)
            raise
        return self.path

    def _remove_leftovers(self, path: Path) -> None:
        """Remove temporary files of a killed session. Only training writes these files, and the run is ours now."""
        remove_leftovers(path, "*.json", "training.lock")
        remove_leftovers(path / "checkpoints", "*.pt")
        remove_leftovers(path / "samples", "step-*.png")

    def progress(self, step: int, n_steps_total: int | None = None) -> None:
        """Record the progress of training; the next heartbeat writes it."""
        if self._status is not None:
            self._status.progress(step, n_steps_total)

    def end(self, error: BaseException | None, _n_records: int) -> None:
        """Write how the session ended."""
        self._signals.__exit__(None, None, None)
        if self._status is not None:
            self._status.__exit__(None if error is None else type(error), error, None)


class EvaluationSession:
    """An evaluation of a run: it claims an id, and its results count once it has ended without an error.

    Args:
        path: The run directory.
        about: What was asked for; it is kept in ``evaluations/<id>.json``.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path: Path | None = path
        self.evaluation = ""
        self._directory, self._about = path, about

    def begin(self) -> Path:
        """Claim an evaluation id and return the run directory."""
        self.evaluation = start_evaluation(self._directory, self._about)
        return self._directory

    def progress(self, _step: int, _n_steps_total: int | None = None) -> None:
        """Do nothing: an evaluation does not change the status of the training."""

    def end(self, error: BaseException | None, n_records: int) -> None:
        """Mark the evaluation complete, unless it ended with an error."""
        if error is None:
            finish_evaluation(self._directory, self.evaluation, n_records)


def _make_empty(path: Path) -> None:
    """Make a directory for a run, or take one that holds no run yet."""
    held = [name for name in (STATUS.name, CONFIG.name) if (path / name).exists()]
    if held:
        raise ConfigError(
            f"{path} already holds a run ({held[0]}). Give another path, or continue the run: Run.resume(path)."
        )
    try:
        make_directory(path)
    except OSError as error:
        raise ConfigError(f"run directory {path} cannot be made ({error.strerror or error}).") from None
