"""Start a sweep's runs: in this process, in the background, or as jobs of Slurm."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence

import click

from core.sweeps import pool, slurm
from core.sweeps.runner import check_free, held, runner_pid
from core.sweeps.sweep import Job, Sweep
from core.utils.output import say
from core.utils.signals import StopSignals

HELD_WITHIN_S = 10.0  # a sweep in the background; on a file system without locks, nobody can see that it is


def check_machine(slurm_options: Sequence[str]) -> None:
    """Check the options of Slurm, that there is a Slurm to submit to, and PyTorch, before anything is written.

    Raises:
        ConfigError: An option is not NAME=VALUE, or submitit or Slurm is missing.
        ModuleNotFoundError: PyTorch is missing.
    """
    if slurm.parse_parameters(slurm_options):
        slurm.check_available()
    if importlib.util.find_spec("torch") is None:  # each run would fail for itself; importing it takes seconds
        raise ModuleNotFoundError("No module named 'torch'", name="torch")


def launch(sweep: Sweep, n_jobs: int, *, detach: bool, slurm_options: Sequence[str]) -> None:
    """Start the runs of a sweep that are missing, failed, interrupted or dead, and print what became of them.

    Args:
        sweep: The sweep, which no process holds.
        n_jobs: Runs at one time.
        detach: Return as soon as the sweep runs in the background. Jobs of Slurm always do.
        slurm_options: Options of sbatch as NAME=VALUE; none runs the sweep on this machine.

    Raises:
        ConfigError: Another process holds the sweep, or Slurm refuses it.
        ClickException: Runs failed, or the process in the background ended at once.
        RunInterrupted: A signal came; all runs have stopped.
    """
    if slurm_options:
        _submit(sweep, n_jobs, slurm_options)
    elif detach:
        _detach(sweep, n_jobs)
    else:
        _run_here(sweep, n_jobs)


def _submit(sweep: Sweep, n_jobs: int, slurm_options: Sequence[str]) -> None:
    with held(sweep):
        ids = slurm.submit(sweep, slurm.parse_parameters(slurm_options), n_jobs)
    if not ids:
        say(f"No job was submitted: each is done, running or in Slurm's queue. See: pyml sweep status {sweep.name}")
        return
    listed = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
    say(f"Submitted {len(ids)} jobs: {listed}. See: pyml sweep status {sweep.name}")


def _detach(sweep: Sweep, n_jobs: int) -> None:
    """Start the sweep in a session of its own, which continues when this terminal is closed; return when it runs."""
    check_free(sweep)
    command = [sys.executable, "-m", "core", "sweep", "resume", sweep.name, "--jobs", str(n_jobs)]
    with (sweep.path / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--experiments-dir", str(sweep.experiments_dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline_s = time.monotonic() + HELD_WITHIN_S
    while runner_pid(sweep) != process.pid and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.01)  # until then, cancel would not find it
    if process.poll():
        raise click.ClickException(f"the sweep ended with exit code {process.returncode}. See {sweep.path / 'log'}")
    process.returncode = 0  # it outlives this process, which would otherwise warn that it still runs
    say(
        f"The sweep runs in the background; its output is in {sweep.path / 'log'}.\nSee: pyml sweep status {sweep.name}"
    )


def _run_here(sweep: Sweep, n_jobs: int) -> None:
    def report(job: Job, words: str) -> None:
        say(f"[{job.index + 1}/{len(sweep.jobs)}] {job.run_id} {words}")

    with held(sweep), StopSignals() as signals:
        sweep.save()
        n_before = sum(sweep.is_done(job) for job in sweep.jobs)
        outcome = pool.run_here(sweep, n_jobs, report, signals.requested)
    before = f" {n_before} were done before." if n_before else ""
    counts = f"{outcome.n_done} done, {len(outcome.failed)} failed of {len(sweep.jobs)}."
    say(f"{counts}{before} See: pyml sweep status {sweep.name}")
    if outcome.failed:
        first, n_failed = outcome.failed[0], len(outcome.failed)
        raise click.ClickException(
            f"{n_failed} of {len(sweep.jobs)} runs failed; the first is {first.run_id}.\n"
            f"What it printed: {sweep.log_path(first)}"
        )
