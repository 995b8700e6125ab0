"""Sweeps on Slurm: submitit's own executors stand in for a cluster, and the batch script is read."""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from core.config.config import GlobalConfig, ModelConfig
from core.config.errors import ConfigError
from core.sweeps import slurm
from core.sweeps.slurm import SlurmJob, parse_parameters, submit
from core.sweeps.sweep import Sweep, create_sweep, find_sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    configs = [ModelConfig(seed=seed) for seed in range(2)]
    return create_sweep("two", configs, GlobalConfig(experiments_dir=tmp_path / "runs"))


def test_options_of_sbatch_are_read() -> None:
    assert parse_parameters(["partition=gpu", "time=60", "gpus-per-node=1"]) == {
        "partition": "gpu",
        "time": 60,
        "gpus_per_node": 1,
    }


@pytest.mark.parametrize("text", ["gpu", "=1", "time="])
def test_an_option_without_a_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--slurm: got .*; accepted: NAME=VALUE"):
        parse_parameters([text])


def test_a_machine_without_slurm_is_told_so(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="there is no sbatch on this machine"):
        submit(sweep, {"partition": "gpu"}, 2)


def test_without_submitit_the_extra_is_named(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match=r"pip install 'pyml-core\[slurm\]'"):
        submit(sweep, {}, 2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit drops its process object
def test_a_job_becomes_a_run_by_submitit(tmp_path: Path) -> None:
    import submitit

    sweep = create_sweep("one", [ModelConfig(seed=5)], GlobalConfig(experiments_dir=tmp_path / "runs"))
    (job_id,) = submit(sweep, {}, 1, cluster="local")
    job = submitit.LocalJob(sweep.path / "slurm", job_id)
    for _ in range(10):  # submitit gives up on a job after 15 s, which a loaded machine takes to import torch
        with contextlib.suppress(submitit.core.utils.UncompletedJobError):
            assert job.result() == 0
            break
    assert sweep.state(sweep.jobs[0]).state == "finished"
    assert (sweep.path / "slurm_ids").read_text() == f"{job_id} 0\n"


def test_a_job_trains_its_run(sweep: Sweep) -> None:
    assert SlurmJob(sweep, 1)() == 0
    assert [sweep.state(job).state for job in sweep.jobs] == ["waiting", "finished"]


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again_under_an_id_that_the_sweep_knows(
    sweep: Sweep,
) -> None:
    job, other = sweep.jobs
    sweep.run_path(job).mkdir()  # all that the node left
    assert SlurmJob(sweep, 0)() == 0
    found = find_sweep("two", sweep.experiments_dir)
    assert found.jobs[0].run_id > job.run_id
    assert found.jobs[1] == other
    assert [found.state(each).state for each in found.jobs] == ["finished", "waiting"]
    assert SlurmJob(sweep, 0)() == 0  # queued once more: there is nothing left to do
    assert len(list(sweep.experiments_dir.glob("2*"))) == 2


@pytest.mark.parametrize("content", ["", "../../elsewhere\n", "x" * 10**6, "20200101T000000000000Z_0123ab\n"])
def test_what_is_no_newer_run_id_is_ignored(sweep: Sweep, content: str) -> None:
    (sweep.path / "renewed").mkdir()
    (sweep.path / "renewed" / "0000").write_text(content)
    assert find_sweep("two", sweep.experiments_dir).jobs == sweep.jobs


def test_a_job_that_fails_names_its_log(sweep: Sweep) -> None:
    sweep.config_path(sweep.jobs[0]).write_text("{")
    with pytest.raises(RuntimeError, match=r"job 0 ended with exit code 2; see .*0000\.log"):
        SlurmJob(sweep, 0)()


TRAINS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to stop"))
print("trains", flush=True)
signal.pause()
"""


def test_a_preempted_job_stops_its_run_and_is_queued_again(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    class QueuedAgainError(Exception):  # submitit exits
        pass

    def preempt() -> None:
        while not (log.exists() and "trains" in log.read_text()):
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)

    def stop_for_submitit(*_given: object) -> None:  # while the job waits for its process, as in submitit
        raise QueuedAgainError(job.checkpoint())

    def hangs(*_given: object) -> None:
        raise TimeoutError("the job waits for its process for ever")

    job, log = SlurmJob(sweep, 1), sweep.log_path(sweep.jobs[1])
    monkeypatch.setattr(slurm, "commands", lambda _work: [[sys.executable, "-c", TRAINS]])
    before = {
        each: signal.signal(each, handler)
        for each, handler in ((signal.SIGUSR2, stop_for_submitit), (signal.SIGALRM, hangs))
    }
    try:
        signal.alarm(30)
        threading.Thread(target=preempt, daemon=True).start()
        with pytest.raises(QueuedAgainError) as caught:
            job()
    finally:
        signal.alarm(0)
        for each, handler in before.items():
            signal.signal(each, handler)
    assert job._process is not None
    assert job._process.wait() == 1
    assert "asked to stop" in log.read_text()
    delayed = caught.value.args[0]
    assert isinstance(delayed.function, SlurmJob)
    assert (delayed.function.index, delayed.function.sweep) == (1, sweep)


def test_the_batch_script_is_an_array_of_so_many_at_a_time(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    from submitit.slurm.slurm import SlurmExecutor

    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/sbatch")
    executor: Any = slurm._executor(sweep, {"partition": "gpu", "time": 60}, 3, "slurm")
    assert isinstance(executor._executor, SlurmExecutor)
    script = executor._executor._make_submission_file_text("python -m work", "id")
    assert "#SBATCH --partition=gpu" in script
    assert "#SBATCH --time=60" in script
    assert "#SBATCH --signal=USR2@90" in script


def test_an_unknown_option_is_refused(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/sbatch")
    with pytest.raises(ConfigError, match=r"--slurm: .*partitoin"):
        submit(sweep, {"partitoin": "gpu"}, 3)


def test_cancelling_what_was_never_submitted_does_nothing(sweep: Sweep) -> None:
    assert slurm.cancel(sweep) == []
    assert find_sweep("two", sweep.experiments_dir) == sweep


def make_program(name: str, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_a_job_that_still_waits_is_not_submitted_again(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_program("sbatch", "echo Submitted batch job 9", tmp_path, monkeypatch)
    make_program("squeue", f'echo "$@" > {tmp_path}/asked; echo 7_1; echo 7_3', tmp_path, monkeypatch)
    (sweep.path / "slurm_ids").write_text("7_0 0\n7_1 1\n")
    assert submit(sweep, {}, 2) == ["9"]  # one job is no array
    assert "--jobs=7" in (tmp_path / "asked").read_text()
    assert (sweep.path / "slurm_ids").read_text() == "7_1 1\n9 0\n"  # cancel finds both
    make_program("squeue", "echo 7_1; echo 9", tmp_path, monkeypatch)
    assert submit(sweep, {}, 2) == []
    make_program("squeue", "echo slurm_load_jobs error: Invalid job id specified >&2; exit 1", tmp_path, monkeypatch)
    assert slurm.in_queue(sweep) == {}


def test_where_squeue_fails_nothing_is_submitted(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_program("sbatch", "echo Submitted batch job 9", tmp_path, monkeypatch)
    make_program("squeue", "echo Unable to contact slurm controller >&2; exit 1", tmp_path, monkeypatch)
    (sweep.path / "slurm_ids").write_text("7_0 0\n7_1 1\n")
    with pytest.raises(ConfigError, match=r"squeue cannot say which.*Unable to contact slurm controller"):
        submit(sweep, {}, 2)
    assert (sweep.path / "slurm_ids").read_text() == "7_0 0\n7_1 1\n"


def test_what_is_no_id_of_a_job_is_not_passed_to_scancel(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "scancel"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (sweep.path / "slurm_ids").write_text("12_0\n--user=me\n-u\n13\n")
    assert slurm.cancel(sweep) == ["12_0", "13"]
    assert (tmp_path / "called").read_text() == "12_0 13\n"


def test_without_scancel_a_sweep_is_not_called_cancelled(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    (sweep.path / "slurm_ids").write_text("7_0\n7_1\n")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"there is no scancel on this machine.*with: scancel 7_0 7_1"):
        slurm.cancel(sweep)
