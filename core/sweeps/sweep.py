"""A sweep's directory: its list of configs, the run of each config, and the state of each run."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from core.config.config import GlobalConfig, ModelConfig
from core.config.errors import ConfigError, unknown_name
from core.runs import strict_json
from core.runs.directory import RUN_ID
from core.runs.evaluations import TRAINING
from core.runs.files import Fault, read_file, sync_directory, write_json
from core.runs.limits import MOST_LINES_BYTES
from core.runs.result_log import read_result_log
from core.runs.status import STATUS, RunState, run_status, running_here
from core.runs.training_lock import LOCK_FILE, read_holder
from core.sweeps.grid import asked_for
from core.sweeps.renewed import newer_run_id
from core.utils.utils import generate_run_id

SWEEP_SCHEMA = "pyml.sweep/1"
DIRECTORY = "sweeps"  # beside the runs; no run id has this name
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
WAITING = "waiting"


@frozen
class Job:
    """One config of a sweep.

    Attributes:
        index: Its place in the sweep, from 0.
        config: The fields of its config that a config file may hold.
        run_id: Id of the run that it became, or is to become. Known before the run starts, so that a command that
            is started again finds the runs of the one before.
    """

    index: int
    config: dict[str, Any]
    run_id: str


@frozen
class Sweep:
    """A list of configs, each of which becomes a run.

    Attributes:
        path: The sweep's directory, ``EXPERIMENTS_DIR/sweeps/NAME``.
        device: What each run trains on; see ``GlobalConfig``.
        evaluate: Whether each run is evaluated once it is trained.
        jobs: The configs, in the order in which they start.
        tracker: Names of the trackers of each run; see ``GlobalConfig``.
    """

    path: Path
    device: str
    evaluate: bool
    jobs: tuple[Job, ...]
    tracker: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.path.name

    @property
    def experiments_dir(self) -> Path:
        """The directory that holds the runs."""
        return self.path.parents[1]

    def run_path(self, job: Job) -> Path:
        """Return the run directory of a job, which may not exist yet."""
        return self.experiments_dir / job.run_id

    def config_path(self, job: Job) -> Path:
        """Return the file that holds a job's config."""
        return self.path / "configs" / f"{job.index:04d}.json"

    def log_path(self, job: Job) -> Path:
        """Return the file that holds what a job printed."""
        return self.path / "logs" / f"{job.index:04d}.log"

    def save(self) -> None:
        """Write sweep.json whole."""
        content = {"schema": SWEEP_SCHEMA, "device": self.device, "evaluate": self.evaluate}
        tracked = {"tracker": list(self.tracker)} if self.tracker else {}
        write_json(self.path / "sweep.json", {**content, **tracked, "jobs": [attrs.asdict(job) for job in self.jobs]})

    def state(self, job: Job) -> RunState:
        """Return the state of a job's run, or "waiting" if there is no run yet."""
        if not self.run_path(job).is_dir():
            return RunState(WAITING)
        return run_status(self.run_path(job))

    def pid(self, job: Job) -> int | None:
        """Return the process of a job's run on this host, or None."""
        saved = STATUS.read(self.run_path(job))
        pid = None if isinstance(saved, Fault) else running_here(saved)
        holder = None if pid is None else read_holder(self.run_path(job) / LOCK_FILE)
        # After a kill, the number may be that of another process by now; the lock file knows when ours began.
        return None if holder and (holder.pid != pid or holder.is_alive_here() is False) else pid

    def is_done(self, job: Job) -> bool:
        """Say whether a job needs no more work: trained and, where asked for, evaluated."""
        if self.state(job).state != "finished":
            return False
        return not self.evaluate or _is_evaluated(self.run_path(job))

    def to_start(self) -> list[Job]:
        """Return the jobs whose run is missing, failed, interrupted or dead, or still to be evaluated."""
        return [job for job in self.jobs if self.state(job).state != "running" and not self.is_done(job)]

    def renewed(self, job: Job) -> Sweep:
        """Return the sweep with a new run id for a job whose run cannot continue, because it left no checkpoint."""
        fresh = attrs.evolve(job, run_id=generate_run_id())
        return attrs.evolve(self, jobs=tuple(fresh if each.index == job.index else each for each in self.jobs))


def _is_evaluated(run_path: Path) -> bool:
    entries = read_result_log(run_path).entries
    return any(entry.is_complete and entry.evaluation not in {None, TRAINING} for entry in entries)


def create_sweep(
    name: str, configs: Sequence[ModelConfig], global_config: GlobalConfig, *, evaluate: bool = False
) -> Sweep:
    """Make a sweep's directory with all of its configs; no run is started.

    Args:
        name: The sweep's name.
        configs: One per run.
        global_config: Where the runs go, and on which device.
        evaluate: Whether each run is evaluated once it is trained.

    Raises:
        ConfigError: The name is not accepted, there is no config, or a sweep of this name has other configs.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"--name: got {name!r}; accepted: 1 to 64 letters, digits, '.', '_' and '-'.")
    if not configs:
        raise ConfigError("the sweep has no config; give at least one FIELD=VALUES.")
    path = sweeps_dir(global_config.experiments_dir) / name
    jobs = tuple(Job(index, _jsonable(asked_for(config)), generate_run_id()) for index, config in enumerate(configs))
    made = Sweep(path.resolve(), global_config.device, evaluate, jobs, global_config.tracker)
    if (path / "sweep.json").exists():
        return _same(read_sweep(path), made)
    for directory in (path / "configs", path / "logs"):
        directory.mkdir(parents=True, exist_ok=True)
    for job in made.jobs:
        write_json(made.config_path(job), job.config)
    made.save()  # last: if the process ends before this, the sweep does not exist, and the same command makes it again
    sync_directory(path.parent)
    return made


def _jsonable(config: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(config)))  # tuples become lists, as they are read back


def _same(saved: Sweep, asked: Sweep) -> Sweep:
    """Return the saved sweep if the command asks for the same configs, so that the sweep continues."""
    if [job.config for job in saved.jobs] != [job.config for job in asked.jobs]:
        raise ConfigError(
            f"sweep {saved.name!r} exists already with other configs ({len(saved.jobs)} of them). Give another --name, "
            f"or continue the existing one: pyml sweep resume {saved.name}."
        )
    return attrs.evolve(saved, evaluate=saved.evaluate or asked.evaluate, tracker=asked.tracker or saved.tracker)


def sweeps_dir(experiments_dir: str | Path) -> Path:
    """Return the directory that holds the sweeps of an experiments directory."""
    return Path(experiments_dir) / DIRECTORY


def sweep_names(experiments_dir: str | Path) -> list[str]:
    """Return the names of the sweeps of an experiments directory, sorted."""
    try:
        return sorted(path.parent.name for path in sweeps_dir(experiments_dir).glob("*/sweep.json"))
    except OSError:
        return []


def find_sweep(name: str, experiments_dir: str | Path) -> Sweep:
    """Return the sweep of this name; ConfigError with the nearest name where there is none."""
    names = sweep_names(experiments_dir)
    if name not in names:
        raise unknown_name("sweep", name, names, where=str(sweeps_dir(experiments_dir)))
    return read_sweep(sweeps_dir(experiments_dir) / name)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's directory.

    Raises:
        ConfigError: Its sweep.json is missing, damaged or of another schema.
    """
    try:
        content = strict_json.loads(read_file(str(path / "sweep.json"), MOST_LINES_BYTES).decode())
        if content["schema"] != SWEEP_SCHEMA:
            raise ValueError(f"schema {reprlib.repr(content['schema'])}; this version reads {SWEEP_SCHEMA!r}")
        jobs = tuple(_job(path, index, saved) for index, saved in enumerate(content["jobs"]))
        if not jobs:
            raise ValueError("it has no job")
        tracker = tuple(map(str, content.get("tracker", ())))
        return Sweep(path.resolve(), str(content["device"]), bool(content["evaluate"]), jobs, tracker)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        what = str(error) if type(error) is ValueError else repr(error)
        raise ConfigError(f"{path / 'sweep.json'}: cannot be read as a sweep: {what}.") from None


def _job(path: Path, index: int, saved: Any) -> Job:
    """Return a job of a sweep's list; ValueError, LookupError or TypeError if it is none that a sweep would write."""
    if saved["index"] != index:
        raise ValueError(f"job {index}: index: got {reprlib.repr(saved['index'])}")
    if not RUN_ID.fullmatch(str(saved["run_id"])):  # it becomes a path
        raise ValueError(f"job {index}: run_id: got {reprlib.repr(saved['run_id'])}; accepted: the id of a run")
    return Job(index, dict(saved["config"]), newer_run_id(path, index, str(saved["run_id"])))
