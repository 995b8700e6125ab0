"""The command line as a user meets it: exit codes, one clear message, nothing lost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click import Context, Group

from core.cli import group
from core.commands.eval import evaluate
from core.commands.train import train
from core.runs.directory import run_ids
from core.runs.result_log import read_result_log
from core.runs.status import run_status
from core.utils.formatting import timestamp

#: One epoch of two steps.
TINY = ["--model", "mlp", "--hidden-layer-sizes", "8", "--n-epochs", "1", "--batch-size", "1000", "--n-steps", "2"]
COMMANDS = {"train": train, "eval": evaluate, "core": group}
Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def invoke(experiments: Path, run_command: Invoke) -> Invoke:
    """Return a function that runs a command by its name in COMMANDS."""
    return lambda command, *arguments: run_command(COMMANDS[command], *arguments)


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["runs", "plot", "sweep", "import", "export"])
def test_the_help_of_a_group_shows_the_summary_of_each_command_in_full(invoke: Invoke, name: str) -> None:
    _, out, _ = invoke("core", name, "--help")
    shown = " ".join(out.split())
    command = group.get_command(Context(group), name)
    assert isinstance(command, Group)
    for each in command.commands.values():
        assert " ".join((each.help or "").partition("\n\n")[0].split()) in shown


def test_the_placeholder_trains_and_evaluates_at_once_and_says_what_it_is(invoke: Invoke, experiments: Path) -> None:
    code, out, _ = invoke("train")
    assert code == 0
    assert "placeholder" in out
    assert "mlp" in out
    (run_id,) = run_ids(experiments)
    code, out, _ = invoke("eval", "latest")
    assert code == 0
    assert "±" in out
    assert {"config.json", "environment.json", "status.json", "results.jsonl"} <= set(tree(experiments / run_id))


def test_the_run_directory_says_what_was_asked_for_and_how_it_ended(invoke: Invoke, experiments: Path) -> None:
    invoke("train", "--seed", "7")
    (run_id,) = run_ids(experiments)
    config = json.loads((experiments / run_id / "config.json").read_text())
    assert config["config"]["seed"] == 7
    assert config["config"]["model"] == "identity"
    assert config["plugins"]["model"]["distribution"] == "pyml-core"
    assert json.loads((experiments / run_id / "status.json").read_text())["state"] == "finished"


def test_a_dry_run_prints_a_config_that_can_be_used_and_does_nothing(
    invoke: Invoke, experiments: Path, tmp_path: Path
) -> None:
    code, out, _ = invoke("train", "--model", "mlp", "--seed", "3", "--dry-run")
    assert code == 0
    assert not experiments.exists()
    (tmp_path / "again.json").write_text(out)
    code, again, _ = invoke("train", "--config", tmp_path / "again.json", "--dry-run")
    assert (code, again) == (0, out)
    assert json.loads(out)["seed"] == 3


def test_options_win_over_the_file(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('model = "mlp"\nseed = 1\nbatch_size = 5\n')
    code, out, _ = invoke("train", "--config", tmp_path / "run.toml", "--seed", "2", "--dry-run")
    assert code == 0
    config = json.loads(out)
    assert (config["model"], config["seed"], config["batch_size"]) == ("mlp", 2, 5)


def test_help_offers_the_fields_of_the_chosen_model(invoke: Invoke) -> None:
    from core import plugins
    from core.config import ModelConfig

    own = set(plugins.config_class("mlp").__annotations__) - set(ModelConfig.__annotations__)
    assert own, "the test needs a model with options of its own"
    _, plain, _ = invoke("train", "--help")
    _, out, _ = invoke("train", "--model", "mlp", "--help")
    for name in own:
        assert f"--{name.replace('_', '-')} " in out
        assert f"--{name.replace('_', '-')} " not in plain
    assert "--learning-rate NUMBER" in plain


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("train", ["--model", "identify"], r"unknown model 'identify'. Did you mean 'identity'? Known: "),
        ("train", ["--dataset", "digit"], r"unknown data set 'digit'. Did you mean 'digits'?"),
        ("train", ["--lerning-rate", "1"], "--learning-rate"),
        ("train", ["--seed", "x"], "--seed: got 'x'; accepted: an integer, at least 0"),
        ("train", ["--config", "none.toml"], "none.toml: cannot be read as a config file"),
        ("train", ["--resume", "2026"], "no run '2026'"),
        ("train", ["--device", "tpu"], "--device: got 'tpu'; accepted: auto, cpu, cuda or cuda:N."),
        ("train", ["--device", "cuda:99"], "device: got 'cuda:99', but torch sees"),
        ("eval", ["nothing"], "no run 'nothing'"),
        ("eval", ["latest"], "holds no run yet. Try: pyml-train"),
        ("eval", ["latest", "--evaluator", "denoise"], "unknown evaluator 'denoise'. Did you mean 'denoising'?"),
        ("eval", ["latest", "--n-steps", "0"], "--n-steps"),
        ("eval", [], "RUN"),
        ("core", ["plugin"], "unknown command 'plugin'. Did you mean 'plugins'?"),
    ],
)
def test_wrong_usage_is_one_message_and_exit_code_2(
    invoke: Invoke, experiments: Path, command: str, arguments: list[str], message: str
) -> None:
    code, _, err = invoke(command, *arguments)
    assert code == 2
    assert message in err
    assert not experiments.exists(), "wrong usage leaves nothing behind"


def test_an_engine_that_does_not_exist_is_wrong_usage(
    invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYML_ENGINE", "fortran")
    code, _, err = invoke("train")
    assert code == 2
    assert "PYML_ENGINE: got 'fortran'; accepted: 'c++' or 'python'" in err
    assert not experiments.exists()


def test_five_mistakes_of_file_and_command_line_are_told_at_once(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('learning_rat = 1\nseed = -1\nbatch_size = "x"\n')
    code, _, err = invoke("train", "--config", tmp_path / "run.toml", "--n-epochs", "0", "--device", "tpu")
    assert code == 2
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 5
    assert sum("run.toml: " in line for line in errors) == 3


def test_unknown_names_are_told_together_with_the_other_mistakes(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('model = "mpl"\nseed = -1\n[global]\ndevise = "cpu"\n')
    code, _, err = invoke("train", "--config", tmp_path / "run.toml", "--dataset", "digit")
    assert code == 2
    assert [line.partition(": ")[2].removeprefix(f"{tmp_path}/")[:22] for line in err.splitlines()] == [
        "run.toml: model: unkno",
        "run.toml: seed: got -1",
        "run.toml: global: unkn",
        "--dataset: unknown dat",
    ]


def test_an_experiments_directory_that_cannot_be_written_is_one_message(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = invoke("train", "--experiments-dir", tmp_path / "file")
    assert code == 2
    assert "cannot be written" in err
    assert invoke("eval", "latest", "--experiments-dir", tmp_path / "file")[0] == 2


def test_an_ambiguous_prefix_names_the_runs(invoke: Invoke, experiments: Path) -> None:
    invoke("train")
    invoke("train")
    before = tree(experiments)
    code, _, err = invoke("eval", "20")
    assert code == 2
    assert "is ambiguous: 2 runs begin with it" in err
    assert tree(experiments) == before


def test_a_run_that_failed_is_refused_with_its_reason_and_left_as_it_was(invoke: Invoke, experiments: Path) -> None:
    invoke("train", *TINY, "--learning-rate", "1e30")
    (run_id,) = run_ids(experiments)
    status = json.loads((experiments / run_id / "status.json").read_text())
    assert status["state"] == "failed"
    before = tree(experiments)
    code, _, err = invoke("eval", run_id)
    assert code == 1
    assert status["reason"] in err
    assert tree(experiments) == before


def test_a_run_that_still_runs_is_not_resumed(invoke: Invoke, experiments: Path) -> None:
    invoke("train")
    (run_id,) = run_ids(experiments)
    path = experiments / run_id / "status.json"
    status = {**json.loads(path.read_text()), "state": "running", "pid": os.getpid(), "heartbeat_at": timestamp()}
    path.write_text(json.dumps(status))
    before = tree(experiments)
    code, _, err = invoke("train", "--resume", "latest")
    assert code == 2
    assert "is still running. Stop it first" in err
    assert tree(experiments) == before


def test_a_run_resumes_with_more_epochs_and_with_nothing_else_changed(invoke: Invoke, experiments: Path) -> None:
    assert invoke("train", *TINY)[0] == 0
    code, _, err = invoke("train", "--resume", "latest", "--batch-size", "5")
    assert code == 2
    assert "batch_size cannot change when a run continues" in err
    assert invoke("train", "--resume", "latest", "--n-epochs", "2")[0] == 0
    (run_id,) = run_ids(experiments)
    assert json.loads((experiments / run_id / "config.json").read_text())["config"]["n_epochs"] == 2
    epochs = [
        json.loads(line)["epoch"] for line in (experiments / run_id / "metrics.jsonl").read_text().split("\n") if line
    ]
    assert epochs == [1, 2]


def test_a_truncated_results_file_costs_its_torn_line_only(invoke: Invoke, experiments: Path) -> None:
    invoke("train")
    (run_id,) = run_ids(experiments)
    path = experiments / run_id / "results.jsonl"
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    code, _, _ = invoke("eval", run_id)
    assert code == 0
    assert path.read_bytes().startswith(torn)


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that is full, and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 512)
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint_and_a_status_that_says_so(
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    request: pytest.FixtureRequest,
    full_pipe: int,
    wait_until: Callable[..., None],
) -> None:
    """Under SIGTERM, nobody reads stderr either: the process still ends within a few seconds."""
    arguments = ["--model", "mlp", "--n-epochs", "100000", "--hidden-layer-sizes", "8", "--experiments-dir", "runs"]
    program = "from core.cli import train_main; train_main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        stderr=full_pipe if number == signal.SIGTERM else subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    request.addfinalizer(process.kill)  # a test that fails leaves no process that trains for ever
    wait_until(lambda: list(tmp_path.glob("runs/*/metrics.jsonl")), process)  # training is under way
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    (run_path,) = (tmp_path / "runs").iterdir()
    assert json.loads((run_path / "status.json").read_text())["state"] == "interrupted"
    assert list((run_path / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["train", "--model", "mlp", "--help"],
        ["train", "--model", "mlp", "--dry-run"],
        ["eval", "--help"],
        ["plugins"],
        ["runs"],
        ["runs", "--help"],
    ],
)
def test_commands_that_only_look_never_import_torch(tmp_path: Path, arguments: list[str]) -> None:
    # A torch that cannot be imported shadows the real one: whoever imports it fails.
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    (tmp_path / "runs" / "20260101T000000000001Z_aaaaaa").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYML_EXPERIMENTS_DIR": str(tmp_path / "runs")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "core", *arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "torch was imported" not in done.stderr


def test_the_starters_of_a_clone_do_what_the_console_scripts_do() -> None:
    root = Path(__file__).parents[1]
    for name in ("train", "eval"):
        done = subprocess.run(
            [sys.executable, str(root / "scripts" / f"{name}.py"), "--help"], capture_output=True, text=True, check=True
        )
        assert f"Usage: pyml-{name}" in done.stdout


TRAIN_AND_EVALUATE = """
import sys
from core.cli import group, run
for command in (["train", "--model", "identity"], ["eval", "latest"]):
    try:
        run(group, [*command, "--experiments-dir", sys.argv[1]], name="core")
    except SystemExit as ended:
        if ended.code:
            raise
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_reader_that_has_gone_away_costs_a_run_nothing(tmp_path: Path, encoding: str) -> None:
    """Train and evaluate with stdout and stderr closed at the other end, and in an alphabet without ±."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_AND_EVALUATE, str(tmp_path)],
        stdout=writer if encoding == "utf-8" else subprocess.PIPE,
        stderr=writer if encoding == "utf-8" else subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    os.close(writer)
    assert done.returncode == 0, done.stderr
    (run_id,) = run_ids(tmp_path)
    assert run_status(tmp_path / run_id).state == "finished"
    log = read_result_log(tmp_path / run_id)
    assert {entry.evaluation for entry in log.entries} == {"train", "eval-0001"}
    assert all(entry.is_complete for entry in log.entries)


@pytest.fixture
def trained(invoke: Invoke, experiments: Path) -> Path:
    """A run that one small epoch has trained."""
    assert invoke("train", *TINY, "--n-samples", "20")[0] == 0
    return experiments / run_ids(experiments)[0]


def protocols(run_path: Path, name: str) -> list[dict[str, object]]:
    every = read_result_log(run_path).every()
    return [dict(record.metadata.protocol) for record in every if record.metadata.name == name]


def test_what_changes_only_the_evaluation_is_an_option_of_eval_and_protocol(invoke: Invoke, trained: Path) -> None:
    changed = ["--sampler", "euler", "--sigma-min", "0.01", "--sigma-max=40", "--rho", "5"]
    assert invoke("eval", trained, "--evaluator", "nearest")[0] == 0
    assert invoke("eval", *changed, "--evaluator", "nearest", trained)[0] == 0
    names = ("sampler", "sigma_min", "sigma_max", "rho")
    before, after = protocols(trained, "nearest_distance")
    assert [before[name] for name in names] == ["heun", 0.002, 80.0, 7.0]
    assert [after[name] for name in names] == ["euler", 0.01, 40.0, 5.0]
    kept = json.loads((trained / "evaluations/eval-0002.json").read_text())["changes"]
    assert kept == {"sampler": "euler", "sigma_min": 0.01, "sigma_max": 40.0, "rho": 5.0}


def test_eval_refuses_wrong_values_and_what_changes_the_model(invoke: Invoke, trained: Path) -> None:
    code, _, err = invoke("eval", trained, "--sampler", "heum", "--s-churn", "-1")
    assert code == 2
    assert "--sampler: got 'heum'" in err
    assert "--s-churn: got '-1'" in err
    code, _, err = invoke("eval", trained, "--sigma-min", "90")
    assert (code, "sigma_min: got 90.0; accepted: a number below sigma_max" in err) == (2, True)
    code, _, err = invoke("eval", trained, "--learning-rate", "1")
    assert (code, "No such option" in err) == (2, True)
    assert not (trained / "evaluations").exists()


def test_a_resumed_run_may_sample_in_another_way(invoke: Invoke, trained: Path) -> None:
    assert invoke("train", "--resume", "latest", "--n-epochs", "2", "--sampler", "euler")[0] == 0
    assert json.loads((trained / "config.json").read_text())["config"]["sampler"] == "euler"


def test_values_that_fit_the_resumed_run_only_are_accepted(invoke: Invoke, experiments: Path) -> None:
    assert invoke("train", *TINY, "--label-dropout", "0.2", "--sigma-max", "200")[0] == 0
    changed = ["--n-epochs", "2", "--guidance", "1.5", "--sigma-min", "90"]
    assert invoke("train", "--resume", "latest", *changed)[0] == 0
    (run_path,) = experiments.iterdir()
    config = json.loads((run_path / "config.json").read_text())["config"]
    assert (config["guidance"], config["sigma_min"], config["n_epochs"]) == (1.5, 90.0, 2)
    code, _, err = invoke("train", "--resume", "latest", "--sigma-min", "300", "--rho", "-1")
    assert (code, "sigma_min: got" in err, "--rho: got '-1'" in err) == (2, False, True)
    code, _, err = invoke("train", "--resume", "latest", "--sigma-min", "300")
    assert (code, "sigma_min: got 300.0; accepted: a number below sigma_max (200.0)" in err) == (2, True)


def test_a_run_with_a_cosine_keeps_its_number_of_epochs(invoke: Invoke, experiments: Path) -> None:
    assert invoke("train", *TINY, "--lr-schedule", "cosine")[0] == 0
    code, _, err = invoke("train", "--resume", "latest", "--n-epochs", "2")
    assert (code, "n_epochs cannot change when a run continues" in err) == (2, True)


@pytest.mark.parametrize("command", ["train", "eval"])
def test_threads_are_those_asked_for(
    command: str, invoke: Invoke, experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", asked.append)
    assert invoke("train")[0] == 0
    assert invoke(command, *(["latest"] if command == "eval" else []), "--threads", "3")[0] == 0
    assert asked == [3]
    code, _, err = invoke(command, *(["latest"] if command == "eval" else []), "--threads", "0")
    assert (code, "Invalid value for '--threads'" in err) == (2, True)


def test_a_failing_evaluator_is_named_the_others_are_shown_and_the_exit_code_is_1(
    invoke: Invoke, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.diffusion.evaluators.denoising import DenoisingEvaluator

    def fail(_self: DenoisingEvaluator) -> None:
        raise MemoryError("Unable to allocate 14 GB")

    monkeypatch.setattr(DenoisingEvaluator, "evaluate", fail)
    code, out, err = invoke("eval", trained, "--evaluator", "denoising", "--evaluator", "nearest")
    assert code == 1
    assert "nearest_distance" in out
    assert "evaluator 'denoising' failed: MemoryError: Unable to allocate 14 GB" in err
