"""Sweeps as a user meets them: started, stopped, looked at and started again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.cli import group
from core.config.config import GlobalConfig, ModelConfig
from core.runs.directory import run_ids
from core.runs.status import run_status
from core.sweeps import pool
from core.sweeps.runner import held, runner_pid
from core.sweeps.sweep import Sweep, create_sweep, find_sweep
from core.sweeps.worker import plan

Invoke = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def invoke(experiments: Path, run_command: Invoke) -> Invoke:
    return lambda *arguments: run_command(group, "sweep", *arguments)


def sweep_in_a_process(*arguments: str, start_new_session: bool = False) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "core", "sweep", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=start_new_session,
    )


def states(sweep: Sweep) -> list[str]:
    return [sweep.state(job).state for job in sweep.jobs]


@pytest.mark.parametrize("start", [(), ("--detach",)])
def test_without_torch_a_sweep_is_refused_before_anything_is_written(
    start: tuple[str, ...], invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    code, out, err = invoke("seed=0..1", "--name", "two", *start)
    assert (code, out) == (1, "")
    assert "needs PyTorch, which is not installed" in err
    assert not list(experiments.glob("*"))
    create_sweep("two", [ModelConfig()], GlobalConfig(experiments_dir=experiments), evaluate=False)
    written = sorted(experiments.rglob("*"))
    code, out, err = invoke("resume", "two", *start)
    assert (code, out, sorted(experiments.rglob("*"))) == (1, "", written)
    assert "needs PyTorch, which is not installed" in err


def test_each_config_becomes_a_run_and_again_starts_nothing(invoke: Invoke, experiments: Path) -> None:
    arguments = ("seed=0..2", "--jobs", "2", "--name", "three", "--evaluate")
    code, out, err = invoke(*arguments)
    assert (code, err) == (0, "")
    assert "3 done, 0 failed of 3" in out
    sweep = find_sweep("three", experiments)
    assert states(sweep) == ["finished"] * 3
    assert sorted(job.run_id for job in sweep.jobs) == run_ids(experiments)
    saved = [json.loads((sweep.run_path(job) / "config.json").read_text())["config"]["seed"] for job in sweep.jobs]
    assert saved == [0, 1, 2]
    assert all("placeholder" in (sweep.run_path(job) / "results.jsonl").read_text() for job in sweep.jobs)
    code, out, _ = invoke(*arguments)
    assert (code, "0 done, 0 failed of 3. 3 were done before." in out) == (0, True)
    assert len(run_ids(experiments)) == 3


def test_again_starts_only_what_is_missing_or_failed(invoke: Invoke, experiments: Path) -> None:
    invoke("seed=0..2", "--name", "some")
    sweep = find_sweep("some", experiments)
    lost, failed, kept = sweep.jobs
    for path in sorted(sweep.run_path(lost).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    sweep.run_path(lost).rmdir()
    status = sweep.run_path(failed) / "status.json"
    status.write_text(status.read_text().replace('"finished"', '"failed"', 1))
    code, out, _ = invoke("resume", "some")
    assert (code, "2 done, 0 failed of 3" in out) == (0, True)
    again = find_sweep("some", experiments)
    assert again.jobs[0].run_id == lost.run_id
    assert again.jobs[1].run_id != failed.run_id  # it left no checkpoint: a new run, the old directory is kept
    assert again.jobs[2] == kept
    assert sweep.run_path(failed).is_dir()


def test_a_run_that_fails_is_named_and_the_others_go_on(invoke: Invoke, experiments: Path) -> None:
    where = GlobalConfig(experiments_dir=experiments)
    sweep = create_sweep("bad", [ModelConfig(seed=seed) for seed in range(2)], where)
    sweep.config_path(sweep.jobs[0]).write_text("{")
    code, out, err = invoke("resume", "bad")
    assert code == 1
    assert "1 done, 1 failed of 2" in out
    assert "1 of 2 runs failed" in err
    assert str(sweep.log_path(sweep.jobs[0])) in err
    assert "not valid JSON" in sweep.log_path(sweep.jobs[0]).read_text()


def test_a_stopped_sweep_leaves_checkpoints_and_goes_on_from_them(
    experiments: Path, invoke: Invoke, wait_until: Callable[..., None]
) -> None:
    options = ("--model", "mlp", "--n-epochs", "100000", "--hidden-layer-sizes", "8", "--name", "long")
    process = sweep_in_a_process("seed=0..1", *options)
    assert process.stdout is not None
    for line in process.stdout:
        if "started" in line:
            break
    run_path = find_sweep("long", experiments).run_path(find_sweep("long", experiments).jobs[0])
    wait_until(lambda: run_status(run_path).state == "running", process)
    code, _, err = invoke("resume", "long")
    assert (code, "is being run by another process" in err) == (2, True)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    sweep = find_sweep("long", experiments)
    assert states(sweep) in (["interrupted", "waiting"], ["interrupted", "interrupted"])
    assert (run_path / "checkpoints" / "last.pt").is_file()
    same, work = plan(sweep, sweep.jobs[0])
    assert same == sweep  # the run keeps its id
    assert work.train[:2] == ("--resume", str(run_path))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminals of this kind")
@pytest.mark.usefixtures("default_sighup")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_closing_the_terminal_stops_every_run_with_a_checkpoint(
    experiments: Path, name: str, wait_until: Callable[..., None]
) -> None:
    options = ("--model", "mlp", "--n-epochs", "100000", "--hidden-layer-sizes", "8", "--name", "closed")
    of_the_tests = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, which new processes inherit
    try:
        process = sweep_in_a_process("seed=0..1", "--jobs", "2", *options, start_new_session=True)
    finally:
        signal.signal(signal.SIGHUP, of_the_tests)
    assert process.stdout is not None
    n_started = 0
    while n_started < 2:
        line = process.stdout.readline()
        assert line
        n_started += "started" in line
    sweep = find_sweep("closed", experiments)
    wait_until(lambda: states(sweep) == ["running", "running"], process)
    os.killpg(process.pid, number := getattr(signal, name))  # a terminal sends it to every process of the sweep
    process.communicate()
    assert states(sweep) == ["interrupted", "interrupted"]
    assert all((sweep.run_path(job) / "checkpoints" / "last.pt").is_file() for job in sweep.jobs)
    assert process.returncode == 128 + number


SLOW_IMPORT = """
import sys
from core.cli import run
from core.commands.sweep import sweep
from core.sweeps import pool
pool.PRELOADED = ("slow_import", *pool.PRELOADED[:1])
run(sweep, sys.argv[1:], name="sweep")
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no signals to process groups")
@pytest.mark.usefixtures("default_sighup")
@pytest.mark.parametrize(
    ("send", "numbers", "ended"),
    [
        (os.killpg, [signal.SIGINT], "Stopped: interrupted by Ctrl-C."),
        (os.killpg, [signal.SIGHUP], "Stopped: interrupted by SIGHUP."),
        (os.kill, [signal.SIGINT, signal.SIGTERM], "Stopped: interrupted by SIGTERM."),
    ],
)
def test_no_run_starts_after_a_signal_during_the_imports(
    send: Callable[[int, int], None], numbers: list[int], ended: str, experiments: Path, tmp_path: Path
) -> None:
    """Nor does the signal end the fork server, whose processes could not be told to stop."""
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    for pipe in (begun, gate):
        os.mkfifo(pipe)
    closed = os.open(gate, os.O_RDWR)  # a reader waits until it is closed here
    (tmp_path / "slow_import.py").write_text(
        f"gate = open({str(gate)!r})\nopen({str(begun)!r}, 'w').close()\ngate.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_IMPORT, "seed=0..1", "--jobs", "2", "--name", "early"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        start_new_session=True,
    )
    begun.read_text()  # returns when the fork server imports
    for number in numbers:
        send(process.pid, number)
    os.close(closed)
    out, _ = process.communicate()  # returns when all processes of the sweep have ended
    assert out.splitlines()[-1] == ended
    assert process.returncode == 128 + numbers[-1]
    assert "Traceback" not in out
    assert states(find_sweep("early", experiments)) == ["waiting", "waiting"]


def test_runs_that_outlived_a_killed_sweep_count_among_the_jobs(
    experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = create_sweep(
        "orphans", [ModelConfig(seed=seed) for seed in range(3)], GlobalConfig(experiments_dir=experiments)
    )
    alive, seen = {0, 1}, []
    monkeypatch.setattr(Sweep, "pid", lambda _self, job: 1 if job.index in alive else None)
    monkeypatch.setattr(Sweep, "to_start", lambda self: [self.jobs[2]])

    def wait_for_none(running: dict[int, object]) -> list[int]:
        seen.append((len(alive), len(running)))
        alive.discard(len(alive) - 1)
        return list(running)

    class Ended:
        sentinel, exitcode, name = 7, 0, ""

        def start(self) -> None: ...
        def join(self) -> None: ...
        def is_alive(self) -> bool:
            return False

    monkeypatch.setattr(pool, "_ended", wait_for_none)
    monkeypatch.setattr(pool, "_context", lambda: SimpleNamespace(Process=lambda **_given: Ended()))
    outcome = pool.run_here(sweep, 2, lambda _job, _words: None, lambda: None)
    assert outcome.n_done == 1
    assert seen == [(2, 0), (1, 1)]  # it starts when one of the two has ended


def test_without_slurm_no_sweep_is_left_behind(
    invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(experiments))
    code, _, err = invoke("seed=0..1", "--slurm", "partition=gpu")
    assert (code, "there is no sbatch on this machine" in err) == (2, True)
    assert not experiments.exists()


def test_a_run_that_has_not_written_its_status_is_starting_while_the_sweep_runs(
    invoke: Invoke, experiments: Path
) -> None:
    sweep = create_sweep("new", [ModelConfig()], GlobalConfig(experiments_dir=experiments))
    sweep.run_path(sweep.jobs[0]).mkdir()
    assert "unknown" in invoke("status", "new")[1]
    with held(sweep):
        shown = invoke("status", "new")[1]
    assert f"{sweep.jobs[0].run_id}  starting" in shown


def test_what_suits_a_family_is_set_in_its_configs_and_said_once(invoke: Invoke) -> None:
    code, out, _ = invoke("family=edm,meanflow", "seed=0..1", "--dry-run")
    assert code == 0
    assert (
        out.count("Set for family meanflow, unless you give them: sampler=meanflow, n_steps=1, logit_mean=-0.4\n") == 1
    )
    assert "Set for" not in invoke("family=edm,flow", "seed=0..1", "--dry-run")[1]


def test_the_status_and_the_dry_run_change_nothing(invoke: Invoke, experiments: Path) -> None:
    code, out, _ = invoke("seed=0..1", "learning_rate=1e-4,1e-3", "--dry-run")
    assert code == 0
    assert len(out.splitlines()) == 2 + 4
    assert not experiments.exists()
    code, out, _ = invoke("status")
    assert (code, "No sweep in" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no FIELD=VALUES was given"),
        (("seed=1..0",), "seed: got the range 1..0, which is empty"),
        (("sed=1,2",), "unknown key 'sed'. Did you mean 'seed'?"),
        (("seed=0,1", "--name", "../up"), "--name: got '../up'"),
        (("seed=0,1", "--slurm", "gpu"), "--slurm: got 'gpu'; accepted: NAME=VALUE"),
        (("status", "none"), "unknown sweep 'none'"),
        (("cancel", "none"), "unknown sweep 'none'"),
    ],
)
def test_wrong_usage_is_one_message_and_makes_nothing(
    invoke: Invoke, experiments: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = invoke(*(arguments or ("start",)))
    assert code == 2
    assert message in err
    assert not experiments.exists()


def test_another_list_of_configs_under_one_name_is_refused(invoke: Invoke, experiments: Path) -> None:
    invoke("seed=0", "--name", "one")
    before = (experiments / "sweeps" / "one" / "sweep.json").read_bytes()
    code, _, err = invoke("seed=0..1", "--name", "one")
    assert code == 2
    assert "sweep 'one' exists already with other configs (1 of them)" in err
    assert (experiments / "sweeps" / "one" / "sweep.json").read_bytes() == before


def test_a_file_may_hold_the_values(invoke: Invoke, experiments: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(
        'model = "mlp"\nn_epochs = 3\n[sweep]\nseed = "0..1"\nlearning_rate = [1e-4, 1e-3]\n'
    )
    code, out, _ = invoke("--config", "sweep.toml", "--dry-run")
    assert code == 0
    assert [line.split() for line in out.splitlines()[2:]] == [
        ["0", "0.0001"],
        ["0", "0.001"],
        ["1", "0.0001"],
        ["1", "0.001"],
    ]


def test_a_cancelled_sweep_in_the_background_stops(invoke: Invoke, experiments: Path) -> None:
    code, out, _ = invoke("seed=0", "--model", "mlp", "--n-epochs", "100000", "--name", "behind", "--detach")
    assert (code, "runs in the background" in out) == (0, True)
    sweep = find_sweep("behind", experiments)
    assert runner_pid(sweep) is not None  # cancel finds it at once
    code, _, err = invoke("resume", "behind", "--detach")
    assert (code, "is being run by another process" in err) == (2, True)
    while sweep.state(sweep.jobs[0]).state != "running":
        assert "Error" not in (sweep.path / "log").read_text()
        time.sleep(0.02)
    code, out, _ = invoke("cancel", "behind")
    assert (code, "Asked process" in out) == (0, True)
    while sweep.state(sweep.jobs[0]).state == "running":
        time.sleep(0.02)
    assert states(sweep) == ["interrupted"]
    code, out, _ = invoke("cancel", "behind")
    assert code == 0


def test_a_sweep_that_fails_at_once_in_the_background_is_reported(
    invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_sweep("none", [ModelConfig()], GlobalConfig(experiments_dir=experiments))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    code, _, err = invoke("resume", "none", "--detach")
    assert code == 1
    assert f"the sweep ended with exit code 1. See {experiments / 'sweeps/none/log'}" in err


def test_two_processes_never_hold_one_sweep(invoke: Invoke, experiments: Path) -> None:
    invoke("seed=0", "--name", "one")
    with held(find_sweep("one", experiments)):
        code, _, err = invoke("resume", "one")
    assert (code, "is being run by another process" in err) == (2, True)


def _with_job(sweep: Sweep, **changes: object) -> None:
    path = sweep.path / "sweep.json"
    content = json.loads(path.read_text())
    content["jobs"][0] |= changes
    path.write_text(json.dumps(content))


DAMAGES: dict[str, Callable[[Sweep], object]] = {
    "deep": lambda sweep: (sweep.path / "sweep.json").write_text("[" * 100_000),
    "a list": lambda sweep: (sweep.path / "sweep.json").write_text("[]"),
    "a number": lambda sweep: (sweep.path / "sweep.json").write_text("1e999"),
    "no jobs": lambda sweep: (sweep.path / "sweep.json").write_text(
        '{"schema": "pyml.sweep/1", "device": "cpu", "evaluate": false, "jobs": []}'
    ),
    "an id that is a path": lambda sweep: _with_job(sweep, run_id="../../outside"),
    "an absolute id": lambda sweep: _with_job(sweep, run_id="/etc"),
    "another index": lambda sweep: _with_job(sweep, index=7),
    "an infinite index": lambda sweep: _with_job(sweep, index="1e999"),
    "no config": lambda sweep: _with_job(sweep, config=[1]),
    "latin-1": lambda sweep: (sweep.path / "sweep.json").write_bytes(b'{"schema": "\xe9"}'),
    "fifo": lambda sweep: ((sweep.path / "sweep.json").unlink(), os.mkfifo(sweep.path / "sweep.json")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_sweep_hides_no_other(invoke: Invoke, experiments: Path, damage: Callable[[Sweep], object]) -> None:
    for name in ("a", "b"):
        create_sweep(name, [ModelConfig()], GlobalConfig(experiments_dir=experiments))
    damage(find_sweep("a", experiments))
    code, out, err = invoke("status")
    assert code == 2
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["b"]
    assert re.fullmatch(r"Error: \S+/sweeps/a/sweep\.json: cannot be read as a sweep: .{1,300}\n", err)
    assert invoke("status", "a")[0] == invoke("cancel", "a")[0] == 2


def test_a_process_that_got_the_number_of_a_killed_run_is_not_stopped(invoke: Invoke, experiments: Path) -> None:
    sweep = create_sweep("a", [ModelConfig()], GlobalConfig(experiments_dir=experiments))
    run_path = sweep.run_path(sweep.jobs[0])
    run_path.mkdir(parents=True)
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os\nfrom core.runs.status import RunStatus\nRunStatus({str(run_path)!r}).__enter__()\nos._exit(9)",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == 9
    with subprocess.Popen(["sleep", "60"]) as bystander:
        status = json.loads((run_path / "status.json").read_text())
        (run_path / "status.json").write_text(json.dumps({**status, "pid": bystander.pid}))
        assert sweep.pid(sweep.jobs[0]) is None
        lock = (run_path / "training.lock").read_text()
        (run_path / "training.lock").write_text(lock.replace(f'"pid": {status["pid"]}', f'"pid": {bystander.pid}'))
        assert sweep.pid(sweep.jobs[0]) is None
        assert "Nothing of sweep" in invoke("cancel", "a")[1]
        assert bystander.poll() is None
        bystander.kill()
