"""Sweeps as text: their configs, and the states of their runs."""

from __future__ import annotations

from collections.abc import Sequence

from core.config.config import ModelConfig
from core.runs.directory import has_begun
from core.sweeps.runner import runner_pid
from core.sweeps.slurm import submitted
from core.sweeps.sweep import Job, Sweep
from core.utils.tables import aligned


def list_configs(configs: Sequence[ModelConfig], fields: Sequence[str]) -> str:
    """Return one line per config with the fields that the sweep changes."""
    return aligned(fields, [[str(getattr(config, name)) for name in fields] for config in configs])


def list_sweeps(sweeps: Sequence[Sweep]) -> str:
    """Return one line per sweep: its name and how many runs are in which state."""
    return aligned(["sweep", "runs"], [[sweep.name, count_states(sweep)] for sweep in sweeps])


def describe(sweep: Sweep) -> str:
    """Return one line per job, then the counts and which process runs the sweep."""
    pid = runner_pid(sweep)
    runner = f"Process {pid} on this machine runs it." if pid else "No process on this machine runs it."
    if not pid and (ids := submitted(sweep)):
        arrays = sorted({each.partition("_")[0] for each in ids})
        runner = f"It was submitted to Slurm; its queue: squeue --jobs={','.join(arrays)}."
    way_on = "" if pid or not sweep.to_start() else f" Continue with: pyml sweep resume {sweep.name}"
    return f"{_jobs(sweep, pid is not None)}\n\n{count_states(sweep)}. {runner}{way_on}"


def _jobs(sweep: Sweep, is_run: bool) -> str:
    first = sweep.jobs[0].config
    varying = [name for name in first if any(job.config.get(name) != first[name] for job in sweep.jobs)]
    rows = [
        [str(job.index), *(str(job.config.get(name)) for name in varying), job.run_id, _state(sweep, job, is_run)]
        for job in sweep.jobs
    ]
    return aligned(["job", *varying, "run", "state"], rows, right=["job", *varying])


def _state(sweep: Sweep, job: Job, is_run: bool) -> str:
    """Return a job's state; "starting" for a run that has not written its status yet, if the sweep is being run."""
    state = sweep.state(job)
    return "starting" if is_run and state.state == "unknown" and not has_begun(sweep.run_path(job)) else str(state)


def count_states(sweep: Sweep) -> str:
    """Return "3 finished, 1 failed"."""
    states = [sweep.state(job).state for job in sweep.jobs]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
