"""Running a sweep's jobs on Slurm, by submitit: one job array, requeued after a preemption or at the time limit."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from core.config.errors import ConfigError
from core.runs.open_file import read_file
from core.sweeps.renewed import write_run_id
from core.sweeps.sweep import Sweep, read_sweep
from core.sweeps.worker import Work, plan

SUBMITTED = re.compile(
    r"(\d+(?:_\d+)?)(?: (\d+))?"
)  # a line of slurm_ids: Slurm's id, and the job's place in the sweep


class SlurmJob:
    """One job of a sweep, as submitit pickles it and calls it on a node.

    The work is done in a process of its own. When Slurm is about to end the job, submitit calls ``checkpoint`` in the
    signal's handler: the process is asked to stop, leaves a checkpoint, and the job is queued again. A command line
    handed to submitit would not be queued again after a time-out (submitit issue 1732); a callable like this one is.

    Args:
        sweep: The sweep. Its directory is on a file system that all nodes share.
        index: The job's place in the sweep.
    """

    def __init__(self, sweep: Sweep, index: int) -> None:
        self.sweep = sweep
        self.index = index
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Train, and evaluate if the sweep does; return 0. If one fails, raise an error that gives its exit code."""
        known = read_sweep(self.sweep.path).jobs[self.index]  # newer than when the job was submitted
        sweep, work = plan(self.sweep, known)
        if (job := sweep.jobs[self.index]).run_id > known.run_id:  # the run was killed before its first checkpoint
            write_run_id(sweep.path, self.index, job.run_id)
        for command in commands(work):
            with work.log_path.open("ab") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log)
                code = self._process.wait()
            if code:
                raise RuntimeError(f"job {self.index} ended with exit code {code}; see {work.log_path}")
        return 0

    def checkpoint(self) -> Any:
        """Stop the run with a checkpoint and return the submission that continues from it."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(ChildProcessError):  # it has ended, and was waited for
                # Popen.wait would wait for a lock, which the wait that this signal interrupted holds
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(SlurmJob(self.sweep, self.index))


def commands(work: Work) -> list[list[str]]:
    """Return the command lines that do the work, by this Python."""
    python = [sys.executable, "-m", "core"]
    pairs = (("train", work.train), ("eval", work.evaluate))
    return [[*python, name, *arguments] for name, arguments in pairs if arguments]


def parse_parameters(texts: Sequence[str]) -> dict[str, Any]:
    """Parse ``--slurm`` options: ``partition=gpu``, ``time=60``. Whole numbers become integers.

    Raises:
        ConfigError: One has no ``=``.
    """
    parameters: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ConfigError(
                f"--slurm: got {text!r}; accepted: NAME=VALUE, such as partition=gpu or time=60 (minutes)."
            )
        parameters[name.replace("-", "_")] = int(value) if value.isdecimal() else value
    return parameters


def submit(sweep: Sweep, parameters: Mapping[str, Any], n_jobs: int, cluster: str = "slurm") -> list[str]:
    """Submit the jobs that are still to be done as one array and return their Slurm ids.

    Jobs of an earlier submission that still wait or run are not submitted again.

    Args:
        sweep: The sweep. Its directory and this Python must be visible on the nodes.
        parameters: Options of sbatch, by submitit's names without the prefix ``slurm_``.
        n_jobs: The largest number of array tasks at one time.
        cluster: submitit's executor: "slurm"; "local" and "debug" run here, for tests.

    Raises:
        ConfigError: submitit or Slurm is missing, an option is not one of sbatch's, or squeue does not answer.
    """
    executor = _executor(sweep, parameters, n_jobs, cluster)
    queued = in_queue(sweep) if cluster == "slurm" else {}
    to_start = [job for job in sweep.to_start() if job.index not in queued.values()]
    if not to_start:
        return []
    for job in to_start:  # run ids are settled here, once: jobs on several nodes must not write sweep.json
        sweep, _ = plan(sweep, job)
    sweep.save()
    with executor.batch():
        jobs = [executor.submit(SlurmJob(sweep, job.index)) for job in to_start]
    ids = [str(job.job_id) for job in jobs]
    listed = [*queued.items(), *zip(ids, (job.index for job in to_start), strict=True)]
    (sweep.path / "slurm_ids").write_text("".join(f"{each} {index}\n" for each, index in listed))
    return ids


def submitted(sweep: Sweep) -> dict[str, int | None]:
    """Return the Slurm ids that the sweep's last submissions left, each with its job's place in the sweep if known."""
    try:
        lines = read_file(str(sweep.path / "slurm_ids")).decode().splitlines()
    except FileNotFoundError:
        return {}
    matches = filter(None, map(SUBMITTED.fullmatch, lines))  # scancel would take other words for options
    return {match[1]: None if match[2] is None else int(match[2]) for match in matches}


def in_queue(sweep: Sweep) -> dict[str, int]:
    """Return the submitted jobs that wait or run, by their Slurm ids; each is a place in the sweep.

    Raises:
        ConfigError: squeue cannot say.
    """
    known = submitted(sweep)
    if not known:
        return {}
    arrays = sorted({each.partition("_")[0] for each in known})
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(arrays)}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise _unknown_queue(sweep, str(error)) from None
    if asked.returncode and "Invalid job id" not in asked.stderr:  # so squeue calls jobs that ended a while ago
        raise _unknown_queue(sweep, asked.stderr.strip())
    return {each: index for each in asked.stdout.split() if (index := known.get(each)) is not None}


def _unknown_queue(sweep: Sweep, reason: str) -> ConfigError:
    return ConfigError(
        f"sweep {sweep.name!r} was submitted to Slurm before, and squeue cannot say which of its jobs still wait: "
        f"{reason}. Try again when squeue works; nothing was submitted."
    )


def check_available(cluster: str = "slurm") -> Any:
    """Return the module submitit.

    Raises:
        ConfigError: submitit or Slurm is missing.
    """
    try:
        import submitit
    except ImportError:
        raise ConfigError(
            "--slurm needs submitit, which is not installed. Try: pip install 'pyml-core[slurm]'."
        ) from None
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise ConfigError(
            "--slurm: there is no sbatch on this machine. Start the sweep on a login node of the cluster, or leave out "
            "--slurm to run it here."
        )
    return submitit


def _executor(sweep: Sweep, parameters: Mapping[str, Any], n_jobs: int, cluster: str) -> Any:
    submitit = check_available(cluster)
    executor = submitit.AutoExecutor(folder=sweep.path / "slurm", cluster=cluster)
    try:
        executor.update_parameters(
            name=sweep.name,
            slurm_array_parallelism=n_jobs,
            **{f"slurm_{name}": value for name, value in parameters.items()},
        )
    except (NameError, ValueError, TypeError) as error:
        raise ConfigError(f"--slurm: {error}") from None
    return executor


def cancel(sweep: Sweep) -> list[str]:
    """Cancel the sweep's Slurm jobs by scancel and return their ids; none where nothing was submitted.

    Raises:
        ConfigError: There are jobs, but no scancel on this machine.
    """
    ids = list(submitted(sweep))
    if ids and shutil.which("scancel") is None:
        raise ConfigError(
            f"sweep {sweep.name!r} was submitted to Slurm, and there is no scancel on this machine. Cancel it on a "
            f"login node of the cluster, or there with: scancel {' '.join(ids)}"
        )
    if ids:
        subprocess.run(["scancel", *ids], check=False)
    return ids
