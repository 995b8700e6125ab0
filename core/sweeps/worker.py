"""One job of a sweep, in a process of its own: train, then evaluate where asked for."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from attrs import frozen

from core.sweeps.sweep import Job, Sweep


@frozen
class Work:
    """What one process does.

    Attributes:
        train: Arguments of ``pyml-train``; empty where the run is trained already.
        evaluate: Arguments of ``pyml-eval``; empty where the run is not to be evaluated.
        log_path: The file that takes what is printed.
        n_threads: CPU threads of the process; None leaves torch's own choice.
    """

    train: tuple[str, ...]
    evaluate: tuple[str, ...]
    log_path: Path
    n_threads: int | None = None


def plan(sweep: Sweep, job: Job, n_threads: int | None = None) -> tuple[Sweep, Work]:
    """Return the task of a job, and the sweep, in which the job may have a new run id.

    A run that left a checkpoint continues from it. A run without a checkpoint starts again under a new id, because the
    old directory is kept as it is.
    """
    run_path = sweep.run_path(job)
    is_trained = sweep.state(job).state == "finished"
    tracker = ["--tracker", ",".join(sweep.tracker)] if sweep.tracker else []
    common = ["--experiments-dir", str(sweep.experiments_dir), "--device", sweep.device, *tracker]
    train: list[str] = []
    if not is_trained and (run_path / "checkpoints" / "last.pt").is_file():
        train = ["--resume", str(run_path), *common]
    elif not is_trained:
        if run_path.exists():
            sweep = sweep.renewed(job)
            job = sweep.jobs[job.index]
            run_path = sweep.run_path(job)
        train = ["--config", str(sweep.config_path(job)), "--run-id", job.run_id, *common]
    evaluate = [str(run_path), "--device", sweep.device, *tracker] if sweep.evaluate else []
    return sweep, Work(tuple(train), tuple(evaluate), sweep.log_path(job), n_threads)


def do(work: Work) -> None:
    """Do the work and exit with the code of the command that failed, or 0. To be called in a process of its own."""
    _detach(work.log_path)
    from core.cli import run
    from core.commands.eval import evaluate
    from core.commands.train import train

    if work.n_threads is not None:
        import torch

        torch.set_num_threads(work.n_threads)
    for command, name, arguments in ((train, "pyml-train", work.train), (evaluate, "pyml-eval", work.evaluate)):
        if not arguments:
            continue
        try:
            run(command, arguments, name=name)
        except SystemExit as ended:
            if ended.code:
                raise


def _detach(log_path: Path) -> None:
    """Leave the terminal's process group, so that Ctrl-C reaches only the sweep itself, and print to the log."""
    if hasattr(os, "setsid"):
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the fork server ignores it
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
