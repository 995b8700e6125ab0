"""The commands over many runs take runs of a training loop of one's own, without torch."""

import json
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import Invoke

from core.cli import report
from core.runs import Run
from results.database import ResultsDatabase
from results.tables.listing import listed_fields, result_text

LOOP = """
import random, sys
from core.runs import Run
from results.tables.listing import result_text

for lr in (0.1, 0.01):
    for seed in range(5):
        draw = random.Random(seed)
        config = {"optimizer": {"lr": lr, "name": "adam"}, "seed": seed, "widths": (64, 64)}
        with Run(config, experiments_dir=sys.argv[1]) as run:
            for step in (10, 20):
                run.meter.update(loss=[lr + draw.random() for _ in range(8)])
                run.log_curve(step)
            right = [draw.random() < 0.5 + 4 * lr for _ in range(40)]
            run.log_result("accuracy", right, unit="image", protocol={"split": "test"}, higher_is_better=True)
            run.save_values("accuracy", range(40), right)
"""
COMMANDS = [
    ["runs"],
    ["runs", "show", "latest"],
    ["table"],
    ["compare", "optimizer.lr=0.1", "optimizer.lr=0.01"],
    ["runs", "export", "--format", "json"],
]


@pytest.fixture(scope="module")
def own_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups of five seeds, made by a process of their own."""
    directory = tmp_path_factory.mktemp("own")
    subprocess.run([sys.executable, "-c", LOOP, str(directory)], check=True, capture_output=True)
    return directory


@pytest.fixture
def experiments(own_runs: Path) -> Path:
    return own_runs


def test_the_list_shows_what_sets_the_runs_apart(invoke: Invoke) -> None:
    code, out, err = invoke("runs", "list")
    assert (code, err) == (0, "")
    header, _, *rows = out.split("\n\n")[0].splitlines()
    assert header.split() == ["run", "optimizer.lr", "seed", "status", "age", "duration", "accuracy"]
    assert len(rows) == 10
    assert {row.split()[1] for row in rows} == {"0.1", "0.01"}


def test_the_list_shows_what_differs_of_runs_that_name_a_model_too(tmp_path: Path) -> None:
    for width in (16, 32):
        with Run({"model": "two layers", "dataset": "digits", "width": width, "seed": 0}, experiments_dir=tmp_path):
            pass
    assert listed_fields(ResultsDatabase(tmp_path), []) == ["width", "seed"]


def test_a_command_that_needs_torch_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ModuleNotFoundError("No module named 'torch'", name="torch")) == 1
    assert "needs PyTorch, which is not installed. Try: pip install torch" in capsys.readouterr().err


def test_the_error_of_equal_observations_is_unknown_in_the_list() -> None:
    fields = {"mean": 1.0, "error": 0.0, "n": 25, "n_nan": 0, "n_inf": 0}
    assert result_text(fields) == "1 ± unknown (all equal)"
    assert result_text({**fields, "n": 1}) == "1.0 ± 0"


def test_nested_fields_have_dotted_names(invoke: Invoke) -> None:
    _, out, _ = invoke("runs", "list", "--where", "optimizer.lr<0.05", "--where", "widths=64,64")
    assert out.count("finished") == 5


def test_the_table_groups_over_seeds(invoke: Invoke) -> None:
    code, out, _ = invoke("table")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[2:4]] == [["0.1", "5"], ["0.01", "5"]]


def test_two_settings_are_compared_over_seeds_and_two_runs_over_samples(invoke: Invoke, experiments: Path) -> None:
    code, out, _ = invoke("compare", "optimizer.lr=0.1", "optimizer.lr=0.01")
    assert code == 0
    assert "A is better" in out
    assert "paired over seeds, 5 pairs" in out
    first, other = (sorted(path.name for path in experiments.iterdir())[index] for index in (0, 5))
    code, out, _ = invoke("compare", first, other)
    assert code == 0
    assert "paired over samples, McNemar, 40 pairs" in out


def test_curves_and_fields_are_plotted_and_reported(invoke: Invoke, tmp_path: Path) -> None:
    for arguments in (
        ["plot", "curves", "loss", "-o", str(tmp_path / "curves.svg")],
        ["plot", "field", "optimizer.lr", "--metric", "accuracy", "-o", str(tmp_path / "field.svg")],
        ["report", "-o", str(tmp_path / "report.html")],
    ):
        code, _, err = invoke(*arguments)
        assert (code, err) == (0, "")
        assert Path(arguments[-1]).stat().st_size > 1000


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def test_the_loop_and_the_commands_need_no_torch(tmp_path: Path) -> None:
    loop = subprocess.run([sys.executable, "-c", BLOCKED + LOOP, str(tmp_path)], capture_output=True, text=True)
    assert loop.returncode == 0, loop.stderr
    code = (
        f"{BLOCKED}\nimport json\nfrom core.cli import group, run\nfor command in json.loads(sys.argv[1]):\n"
        "    try:\n        run(group, [*command, '--experiments-dir', sys.argv[2]], name='core')\n"
        "    except SystemExit as ended:\n        print('exit', ended.code, flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(COMMANDS), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("exit 0") == len(COMMANDS), done.stdout + done.stderr


def test_the_tutorial_needs_no_torch(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/tutorial.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import torch" not in block]
    lines = re.findall(r"^(?:\$ )?pyml (.*)$", page, re.MULTILINE)  # also where the page shows what a command prints
    commands = [shlex.split(line, comments=True) for line in lines]
    assert ["compare", "width=16", "width=32", "--detect", "0.01"] in commands
    loop = BLOCKED + "".join(blocks).replace("n_epochs=5", "n_epochs=1")
    code = (
        f"{loop}\nimport json\nfrom core.cli import group, run\nfor command in json.loads(sys.argv[1]):\n"
        "    try:\n        run(group, command, name='core')\n"
        "    except SystemExit as ended:\n        print('exit', ended.code, flush=True)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("exit 0") == len(commands), done.stdout + done.stderr
    assert "paired over seeds, 5 pairs" in done.stdout


def test_evaluation_of_another_loops_run_by_pyml_eval_is_refused_with_the_remedy(tmp_path: Path) -> None:
    from core.config import ConfigError
    from core.plugins import saved_config

    with Run({"lr": random.Random(0).random()}, path=tmp_path / "run") as run:
        pass
    with pytest.raises(ConfigError, match=r"has no field 'model', so it is not a run of pyml-train.*Run.open\(path\)"):
        saved_config(run.path)
    with Run({"model": "forest", "seed": 0}, path=tmp_path / "named") as run:
        pass
    with pytest.raises(ConfigError, match=r"'forest' is not a model of pyml-train.*your own loop.*Run.open\(path\)"):
        saved_config(run.path)
