"""Sweeps on a real Slurm of two nodes, which is started for these tests: `make slurm-test`, as root."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.sweeps.sweep import Sweep, find_sweep

pytestmark = pytest.mark.skipif(
    os.environ.get("PYML_REQUIRE_SLURM") != "1", reason="starts a Slurm, for minutes; make slurm-test runs it"
)
ROOT = Path(__file__).parents[2]
CLUSTER = Path(__file__).with_name("slurm_cluster.sh")
WITHIN_S = 300
TINY = ("--slurm", "partition=main", "--slurm", "time=30", "--model", "mlp", "--hidden-layer-sizes", "8")


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """Return the environment in which Slurm's commands find the cluster."""
    with tempfile.TemporaryDirectory(prefix="slurm") as directory:  # a short path: a socket's may have 107 characters
        try:
            subprocess.run(["sh", CLUSTER, "start", directory], check=True)
            yield {**os.environ, "SLURM_CONF": f"{directory}/slurm.conf", "PYTHONPATH": str(ROOT)}
        finally:
            subprocess.run(["sh", CLUSTER, "stop", directory], check=True)


@pytest.fixture
def run(cluster: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    def call(*command: str) -> str:
        ended = subprocess.run(command, capture_output=True, text=True, env=cluster, cwd=tmp_path, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return call


@pytest.fixture
def sweep_command(run: Callable[..., str]) -> Callable[..., str]:
    return lambda *arguments: run(sys.executable, "-m", "core", "sweep", *arguments)


def wait_until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline_s, what()
        time.sleep(0.2)


def logs(sweep: Sweep) -> str:
    files = sorted([*sweep.path.glob("logs/*"), *sweep.path.glob("slurm/*log*")])
    return "\n".join(f"{file.name}:\n{file.read_text()}" for file in files)


def test_each_config_becomes_an_evaluated_run_on_any_node(
    sweep_command: Callable[..., str], run: Callable[..., str], tmp_path: Path
) -> None:
    command = ("--name", "two", *TINY, "--jobs", "2", "--n-epochs", "1", "seed=0..1", "--evaluate")
    assert "Submitted 2 jobs" in sweep_command(*command)
    assert "No job was submitted" in sweep_command(*command)  # they wait in the queue, or run
    sweep = find_sweep("two", tmp_path / "experiments")
    slurm_ids = (sweep.path / "slurm_ids").read_text().split()[::2]
    wait_until(lambda: all(map(sweep.is_done, sweep.jobs)), lambda: logs(sweep))
    nodes = [re.findall(r" NodeList=(\S+)", run("scontrol", "show", "job", each)) for each in slurm_ids]
    assert sorted(nodes) == [["one"], ["two"]]  # each has one CPU
    assert "2 finished" in sweep_command("status", "two")


@pytest.mark.parametrize(
    ("how", "minutes"), [("scancel --signal=USR2", 30), ("scontrol requeue", 30), ("the time limit", 3)]
)
def test_a_run_that_slurm_takes_away_is_queued_again_and_goes_on(
    how: str, minutes: int, sweep_command: Callable[..., str], run: Callable[..., str], tmp_path: Path
) -> None:
    sweep_command("--name", "long", *TINY, "--slurm", f"time={minutes}", "--n-epochs", "1000000", "seed=0")
    sweep = find_sweep("long", tmp_path / "experiments")
    (job,) = sweep.jobs
    (slurm_id, _), log = (sweep.path / "slurm_ids").read_text().split(), sweep.log_path(job)
    wait_until(lambda: log.exists() and "loss" in log.read_text(), lambda: logs(sweep))
    if how != "the time limit":
        run(*how.split(), slurm_id)
    wait_until(lambda: "Stopped: interrupted" in log.read_text(), lambda: logs(sweep))
    assert "stopping with a checkpoint" in log.read_text()  # not at once, though two signals came
    assert (sweep.run_path(job) / "checkpoints" / "last.pt").is_file()
    wait_until(lambda: "loss" in log.read_text().split("Stopped: interrupted")[1], lambda: logs(sweep))
    assert "Restarts=1" in run("scontrol", "show", "job", slurm_id)
    assert sweep.state(job).state == "running"
    assert "No job was submitted" in sweep_command("resume", "long", "--slurm", "partition=main")
    assert slurm_id in sweep_command("cancel", "long")
    wait_until(lambda: sweep.state(job).state == "interrupted", lambda: logs(sweep))
    wait_until(lambda: not run("squeue", "--noheader"), lambda: logs(sweep))
    assert [path.name for path in (tmp_path / "experiments").glob("2*")] == [job.run_id]
