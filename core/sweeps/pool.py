"""Running a sweep's jobs on this machine: a few processes at a time, each forked with torch imported."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from typing import Any

from attrs import frozen

from core.sweeps.sweep import Job, Sweep
from core.sweeps.worker import do, plan
from core.utils.signals import RunInterrupted, stopping_blocked

PRELOADED = ("core.sweeps.session", "core.sweeps.warm")  # by the fork server, in this order
Report = Callable[[Job, str], None]


@frozen
class Outcome:
    """How many jobs of a sweep succeeded, and which failed."""

    n_done: int
    failed: tuple[Job, ...]


def run_here(sweep: Sweep, n_jobs: int, report: Report, stop: Callable[[], RunInterrupted | None]) -> Outcome:
    """Run the jobs that are still to be done, never more than ``n_jobs`` at a time.

    Args:
        sweep: The sweep, which the caller holds.
        n_jobs: The largest number of processes at one time.
        report: Called with a job and a word when it starts and when it ends.
        stop: Called after each signal. If it returns an exception, this is raised after all runs have left a
            checkpoint.

    Raises:
        RunInterrupted: ``stop`` returned an exception. All runs have stopped before it is raised.
    """
    # If each process used all cores, all of them would be many times slower.
    n_threads = max(1, (os.cpu_count() or 1) // n_jobs)
    queue = sweep.to_start()[::-1]
    context: Any = _context() if queue else None
    running: dict[int, tuple[Job, Any]] = {}
    orphans = [job for job in sweep.jobs if sweep.pid(job) is not None]  # of a sweep whose process was killed
    failed: list[Job] = []
    n_done = 0
    try:
        while (queue and stop() is None) or running:
            orphans = [job for job in orphans if sweep.pid(job) is not None]
            while queue and len(running) + len(orphans) < n_jobs and stop() is None:
                sweep, work = plan(sweep, queue[-1], n_threads)
                sweep.save()
                job = sweep.jobs[queue.pop().index]
                process = context.Process(target=do, args=(work,), name=f"{sweep.name}-{job.index}")
                with stopping_blocked():  # a process that starts is always one that can be told to stop
                    process.start()
                    running[process.sentinel] = (job, process)
                report(job, "started")
            for sentinel in _ended(running):
                job, process = running.pop(sentinel)
                process.join()
                if process.exitcode:
                    failed.append(job)
                else:
                    n_done += 1
                report(job, "done" if not process.exitcode else f"ended with exit code {process.exitcode}")
            if stop() is not None:
                _terminate(running)
    finally:
        _terminate(running)
        for _, process in running.values():
            process.join()
    if (request := stop()) is not None:
        raise request
    return Outcome(n_done, tuple(failed))


def _context() -> Any:
    """Return the way to start processes: forked from a server that has imported torch once, where there is fork.

    This returns when the server is ready. If it raised before, because of a second signal, no run has started.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    resource_tracker.ensure_running()  # it unblocks signals
    with stopping_blocked():  # until the server has left the terminal's process group
        forkserver.ensure_running()
    # A server that still imports cannot be told to forget a run that it was asked to start. So first wait for it.
    first = context.Process(target=_do_nothing)
    first.start()
    first.join()
    return context


def _do_nothing() -> None:
    """Do nothing. A function of a module, because another process imports it."""


def _ended(running: dict[int, tuple[Job, Any]]) -> list[int]:
    """Wait until a process ends, or half a second, and return the sentinels of those that have ended.

    Python goes on waiting after a signal, so the wait is bounded: a request to stop is seen within that time.
    """
    return [sentinel for sentinel in wait(list(running), timeout=0.5) if isinstance(sentinel, int)]


def _terminate(running: dict[int, tuple[Job, Any]]) -> None:
    """Ask the runs to stop; each leaves a checkpoint. Ask only once: a second request would stop them without one."""
    with stopping_blocked():
        for _, process in running.values():
            if process.is_alive() and not getattr(process, "was_asked_to_stop", False):
                process.was_asked_to_stop = True
                process.terminate()
