"""Sweeps on Slurm: submitit's own executors stand in for a cluster, and the batch script is read."""

import contextlib
import os
import signal
import sys
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
    assert (sweep.path / "slurm_ids").read_text() == f"{job_id}\n"


def test_a_job_trains_its_run(sweep: Sweep) -> None:
    assert SlurmJob(sweep, 1)() == 0
    assert [sweep.state(job).state for job in sweep.jobs] == ["waiting", "finished"]


def test_a_job_that_fails_names_its_log(sweep: Sweep) -> None:
    sweep.config_path(sweep.jobs[0]).write_text("{")
    with pytest.raises(RuntimeError, match=r"job 0 ended with exit code 2; see .*0000\.log"):
        SlurmJob(sweep, 0)()


def test_a_preempted_job_stops_its_run_and_is_queued_again(sweep: Sweep) -> None:
    received: list[int] = []

    class Process:
        def poll(self) -> None:
            return None

        def send_signal(self, number: int) -> None:
            received.append(number)

        def wait(self) -> int:
            return 143

    job = SlurmJob(sweep, 1)
    job._process = Process()  # type: ignore[assignment]  # a stand-in for a run that trains
    delayed = job.checkpoint()
    assert received == [signal.SIGTERM]
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
