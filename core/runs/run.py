"""``Run``: keeps a run directory for a training loop of one's own, as all commands expect it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.config.config import GlobalConfig
from core.config.errors import ConfigError
from core.runs.config_fields import config_fields
from core.runs.config_file import read_fields
from core.runs.directory import resolve_run
from core.runs.metrics import last_step, log_curve_point, wall_time_until
from core.runs.notebook import run_html
from core.runs.recorder import Recorder
from core.runs.result_log import read_result_log
from core.runs.session import EvaluationSession, TrainingSession
from core.runs.status import how_it_ended, run_status
from core.runs.tracking import Tracker, guarded
from core.utils.meters import Meter
from core.utils.tables import html_pairs


class Run(Recorder):
    """A run of one's own training loop: its directory, status, training curve, results and values per sample.

    Leaving the ``with`` block writes how the run ended: finished; failed, with the exception; or interrupted, by
    Ctrl-C or SIGTERM. Until then a heartbeat shows that the run is alive. If you cannot use a ``with`` block, for
    example in callbacks, call ``start`` and ``finish``. With several processes, create the Run in only one of them.
    Example::

        with Run({"model": "resnet", "lr": 3e-4, "seed": 0}) as run:
            for step, batch in enumerate(loader, start=1):
                run.meter.update(loss=losses)
            run.log_curve(step)
            run.log_result("accuracy", correct, unit="image", protocol={"split": "test"}, higher_is_better=True)

    Runs that differ only in the field ``seed`` are replicates for ``table`` and ``compare``.

    Args:
        config: The hyperparameters: a dict, dataclass, attrs class, argparse.Namespace or pydantic model.
        experiments_dir: Where the run directory is made. Default: ``PYML_EXPERIMENTS_DIR``, else ``./experiments``.
        path: The run directory itself, instead of a new one in ``experiments_dir``. It may exist, but hold no run.
        plugins: For "model" and "dataset" the name, distribution and version of the plugins that the run uses.
        found_in_data: Names of config fields whose values were found in the data.
        environment: More fields for environment.json, such as ``{"device": "cuda:0"}``.
        trackers: What also gets the curve and the results: names of plugins such as "tensorboard", or objects with
            the methods of ``core.runs.tracking.Tracker``. None: those that ``PYML_TRACKER`` names.

    Attributes:
        config: The fields as config.json holds them.
        meter: The meter that ``log_curve`` writes and empties. You may assign another Meter, such as one with declared
            measures.

    Raises:
        TypeError: ``config`` is of another kind.
        ConfigError: A field of ``config`` cannot be saved as JSON. Nothing has been written.
    """

    def __init__(
        self,
        config: object,
        *,
        experiments_dir: str | Path | None = None,
        path: str | Path | None = None,
        plugins: Mapping[str, Mapping[str, str]] | None = None,
        found_in_data: Sequence[str] = (),
        environment: Mapping[str, Any] | None = None,
        trackers: Sequence[Tracker | str] | None = None,
    ) -> None:
        fields = config_fields(config)
        session = TrainingSession(
            fields,
            path=None if path is None else Path(path),
            experiments_dir=experiments_dir,
            plugins=plugins,
            found_in_data=found_in_data,
            environment=environment,
        )
        self._set(fields, session, trackers)

    def _set(
        self,
        fields: dict[str, Any],
        session: TrainingSession | EvaluationSession,
        trackers: Sequence[Tracker | str] | None,
    ) -> None:
        super().__init__(guarded(trackers))
        self.config, self.meter = fields, Meter()
        self._session = session
        self._owner: int | None = None  # the process in which the session is open
        self._step = None if session.path is None else last_step(session.path)
        self._earlier_s = self._start_s = 0.0

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        about: Mapping[str, Any] | None = None,
        experiments_dir: str | Path | None = None,
        trackers: Sequence[Tracker | str] | None = None,
    ) -> Self:
        """Return a run that exists, to add an evaluation to it, from this or another process.

        The results logged in the block count together once it ends without an exception. The newest complete
        evaluation gives a run's results. The status and the curve of the training are left as they are.

        Args:
            path: The run directory, a run id, a unique prefix of an id, or ``latest``.
            about: What is evaluated and how; kept in ``evaluations/<id>.json``.
            experiments_dir: Where to look for a run id.
            trackers: As for a new run.

        Raises:
            ConfigError: There is no such run, or its config.json cannot be read.
            TypeError: ``path`` is neither str nor Path.
        """
        found = _find(path, experiments_dir)
        run = cls.__new__(cls)
        run._set(read_fields(found), EvaluationSession(found, config_fields(about or {})), trackers)
        return run

    @classmethod
    def resume(
        cls,
        path: str | Path,
        config: object = None,
        *,
        experiments_dir: str | Path | None = None,
        plugins: Mapping[str, Mapping[str, str]] | None = None,
        found_in_data: Sequence[str] = (),
        environment: Mapping[str, Any] | None = None,
        force: bool = False,
        trackers: Sequence[Tracker | str] | None = None,
    ) -> Self:
        """Return a run that exists, to continue its training; ``step`` says where its curve ends.

        Args:
            path: The run directory, a run id, a unique prefix of an id, or ``latest``.
            config: The config if it has changed, for instance the number of epochs; None keeps config.json.
            experiments_dir: Where to look for a run id.
            plugins: As for a new run.
            found_in_data: As for a new run.
            environment: More fields for the session's own file, environment-2.json and so on.
            force: Take the run over from a process on another host without watching whether it is alive.
            trackers: As for a new run.

        Raises:
            ConfigError: There is no such run, or its config.json cannot be read.
            TypeError: ``path`` is neither str nor Path.
        """
        found = _find(path, experiments_dir)
        fields = None if config is None else config_fields(config)
        session = TrainingSession(
            fields,
            path=found,
            continues=True,
            plugins=plugins,
            found_in_data=found_in_data,
            environment=environment,
            force=force,
        )
        run = cls.__new__(cls)
        run._set(read_fields(found) if fields is None else fields, session, trackers)
        return run

    @property
    def path(self) -> Path:
        """The run directory; RuntimeError before a new run has started, when there is none."""
        if self._session.path is None:
            raise RuntimeError("the run has no directory before it starts. Try: with Run(config) as run: ...")
        return self._session.path

    @property
    def id(self) -> str:
        """The run's id, which is the name of its directory."""
        return self.path.resolve().name

    @property
    def step(self) -> int | None:
        """The last step of the training curve, None before there is one."""
        return self._step

    @property
    def evaluation(self) -> str:
        """Id under which results are logged: "train", or that of the evaluation; RuntimeError before the start."""
        self._check_open("evaluation")
        return self._session.evaluation

    def start(self) -> Self:
        """Make or claim the directory and begin; ``with`` does the same.

        Raises:
            ConfigError: The directory cannot be made, already holds a run, or another process trains in it.
            RuntimeError: The run has already started.
        """
        if self._owner is not None:
            raise RuntimeError("the run has already started. To continue one that has ended: Run.resume(path).")
        path = self._session.begin()
        self._owner, self._start_s = os.getpid(), time.perf_counter()
        self._earlier_s = 0.0 if self._step is None else wall_time_until(path, self._step)
        for tracker in self._trackers:
            tracker.start(path, self.config, evaluation=self.evaluation)
        return self

    def finish(self, error: BaseException | None = None) -> None:
        """Write how the run ended: without an error it is finished, else failed or interrupted. A second call does
        nothing, and neither does a call in a forked process.
        """
        if self._owner == os.getpid():
            self._owner = -1
            try:
                self._session.end(error, self._n_records)
            finally:
                for tracker in self._trackers:
                    tracker.finish(how_it_ended(error)[0])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.finish(error)

    def _repr_html_(self) -> str:
        """Return the status, config and results for notebooks."""
        if self._session.path is None or not self._session.path.exists():
            return html_pairs({"run": "not started yet"})
        return run_html(self.id, run_status(self.path), self.config, read_result_log(self.path).newest())

    def progress(self, step: int, n_steps_total: int | None = None) -> None:
        """Record the progress of training, which ``runs`` shows; the next heartbeat writes it."""
        self._check_open("progress")
        self._session.progress(step, n_steps_total)

    def log_curve(
        self, step: int, *, epoch: int | None = None, meter: Meter | None = None, **fields: float
    ) -> dict[str, float]:
        """Add a point to the training curve and return the means; ``self.meter`` is then empty.

        Args:
            step: Training steps done. A second point of one step replaces the first.
            epoch: Epochs done, where training has epochs.
            meter: Another meter to write, which is left as it is; None writes and empties ``self.meter``.
            **fields: More numbers for the line. ``wall_time_s`` is the training time so far unless given.

        Raises:
            ValueError: The meter has no observations, or ``step`` is negative.
            RuntimeError: The run was opened for an evaluation, or is not open.
        """
        self._check_open("log_curve")
        if not isinstance(self._session, TrainingSession):
            raise RuntimeError("log_curve: the run was opened to add an evaluation. To train: Run.resume(path).")
        source = self.meter if meter is None else meter
        fields.setdefault("wall_time_s", self._earlier_s + time.perf_counter() - self._start_s)
        means = log_curve_point(self.path, source, step, epoch=epoch, **fields)
        if meter is None:
            self.meter.reset()
        self._step = step
        for tracker in self._trackers:
            tracker.curve(step, {**fields, **means})
        self._session.progress(step)
        return means

    def _check_open(self, what: str) -> None:
        if self._owner is None or self._owner == -1:
            state = "has not started" if self._owner is None else "has ended"
            raise RuntimeError(f"{what}: the run {state}. Use it inside: with Run(config) as run: ...")


def _find(path: str | Path, experiments_dir: str | Path | None) -> Path:
    where = GlobalConfig().experiments_dir if experiments_dir is None else Path(experiments_dir)
    found = resolve_run(path, where)
    if not found.is_dir():
        raise ConfigError(f"no run directory {found}.")
    return found
