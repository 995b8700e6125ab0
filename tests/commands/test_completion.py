"""Shell completion: what it offers while a line is being typed."""

from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from core import plugins
from core.cli import group
from core.commands.eval import evaluate
from core.commands.train import train


def completions(command: click.Command, *line: str) -> list[str]:
    """Return what is offered for the last word of a line."""
    complete = ShellComplete(command, {}, "pyml", "_PYML_COMPLETE")
    return [item.value for item in complete.get_completions(list(line[:-1]), line[-1])]


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYML_EXPERIMENTS_DIR", str(tmp_path))
    return tmp_path


def test_models_data_sets_and_evaluators_are_offered_by_name() -> None:
    assert completions(train, "--model", "") == plugins.names(plugins.MODELS)
    assert completions(train, "--model", "un") == ["unet"]
    assert completions(train, "--dataset", "dig") == ["digits"]
    assert completions(evaluate, "latest", "--evaluator", "lik") == ["likelihood"]


def test_choices_of_fields_are_offered() -> None:
    assert completions(train, "--sampler", "") == ["heun", "euler", "stochastic", "meanflow"]
    assert completions(train, "--precision", "b") == ["bf16"]
    assert completions(evaluate, "--weights", "") == ["ema", "raw"]


def test_options_are_those_of_the_model_that_the_line_names() -> None:
    assert "--channels" in completions(train, "--model", "unet", "--chan")
    assert completions(train, "--model", "mlp", "--chan") == []
    assert completions(train, "--model", "no-such-model", "--seed") == ["--seeds", "--seed"]


@pytest.mark.parametrize(
    "line", [["eval", ""], ["train", "--resume", ""], ["runs", "show", ""], ["runs", "diff", "latest", ""]]
)
def test_runs_are_offered_newest_first_after_latest(experiments: Path, line: list[str]) -> None:
    ids = [f"20260101T00000000000{n}Z_aaaaa{n}" for n in range(3)]
    for run_id in ids:
        (experiments / run_id).mkdir()
    assert completions(group, *line) == ["latest", *reversed(ids)]
    assert completions(group, *line[:-1], ids[1][:-2]) == [ids[1]]


def test_the_experiments_directory_of_the_line_is_the_one_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "20260101T000000000000Z_aaaaaa").mkdir()
    line = ["--experiments-dir", str(tmp_path), "2026"]
    assert completions(evaluate, *line) == ["20260101T000000000000Z_aaaaaa"]


def test_commands_are_offered_by_name() -> None:
    assert completions(group, "co") == ["compare"]
