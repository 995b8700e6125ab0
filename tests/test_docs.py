"""The documentation: links lead somewhere, Python blocks run, commands and folders are those that exist."""

from __future__ import annotations

import re
import runpy
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from core import cli, plugins
from core.commands.config_command import ConfigCommand
from core.config.config import GlobalConfig, ModelConfig
from core.config.options import options_of
from core.runs.evaluations import finish_evaluation, start_evaluation
from core.runs.status import RunStatus
from core.utils.results import ResultMetadata, ResultRecord, ScalarResult, log_record
from core.utils.utils import create_experiment_subdir, generate_run_id, save_config_to_json

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
MANUAL = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
REFERENCE = ROOT / "docs/commands.md"
EVERYWHERE = {"--help", "-h"}

by_page = pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.relative_to(ROOT).as_posix())


def options_of_commands() -> dict[str, set[str]]:
    """Return every command as a reader types it, with all its options; of ``train`` those of every model."""
    found: dict[str, set[str]] = {}

    def visit(command: click.Command, name: str) -> None:
        context = click.Context(command)
        parameters = command.get_params(context)
        if isinstance(command, ConfigCommand):
            classes = [plugins.config_class(model) for model in plugins.in_the_box(plugins.MODELS)]
            parameters += [option for cls in [ModelConfig, GlobalConfig, *classes] for option in options_of(cls)]
        options = [option for option in parameters if isinstance(option, click.Option) and not option.hidden]
        found[name] = {spelling for option in options for spelling in [*option.opts, *option.secondary_opts]}
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                if name != "pyml" or each in plugins.in_the_box(plugins.COMMANDS):
                    sub = command.get_command(context, each)
                    assert sub is not None
                    visit(sub, f"{name} {each}")

    visit(cli.group, "pyml")
    return found


COMMANDS = options_of_commands()
SCRIPTS = {"pyml-train": "pyml train", "pyml-eval": "pyml eval", "pyml-sample": "pyml sample", "python -m core": "pyml"}


def full_name(line: str) -> str:
    """Return a line as if it were started by ``pyml``."""
    for short, full in SCRIPTS.items():
        if f"{line} ".startswith(f"{short} "):
            line = line.replace(short, full, 1)
    return line


def command_of(words: list[str]) -> str | None:
    """Return the command that a documented line starts, None where it starts another program."""
    line = full_name(" ".join(words))
    line = re.sub(r"^pyml runs(?= -|$)", "pyml runs list", line)  # its default
    line = re.sub(r"^pyml sweep(?! (start|status|resume|cancel)\b)(?= \S)", "pyml sweep start", line)
    known = [name for name in COMMANDS if line == name or line.startswith(f"{name} ")]
    return max(known, key=len, default=None)


def documented_lines(page: Path) -> Iterator[str]:
    """Yield the commands of ours that a page shows, in blocks and in running text."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in [*lines, *spans]:
        for part in re.split(r"&&|\|\s|;", line):
            if re.match(r"(\S*/)?(pyml-train|pyml-eval|pyml-sample|pyml|python3? -m core)(?=\s|$)", part.strip()):
                yield re.sub(r"^\S*/(?=pyml-|python)", "", part.strip()).replace("python3 -m", "python -m")


def sections_of_reference() -> dict[str, str]:
    """Return the text of each ``## `command` `` section of docs/commands.md."""
    parts = re.split(r"^##+ (.*)$", REFERENCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        name: text
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
        for name in re.findall("`([^`]+)`", title)
    }


def spellings(text: str) -> set[str]:
    """Return every option that a text names in backticks."""
    return {
        option
        for span in re.findall(r"`(?:python -m )?([^`\n]+)`", text)
        for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", span)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """Two groups of five finished runs in ./experiments, for the blocks that read runs."""
    directory = tmp_path / "experiments"
    about = ResultMetadata("denoising_loss", unit="image", protocol={"split": "held_out"}, higher_is_better=False)
    for model, loss in {"mlp": 0.34, "unet": 0.33}.items():
        for seed in range(5):
            run_path = create_experiment_subdir(GlobalConfig(experiments_dir=directory), generate_run_id())
            save_config_to_json(ModelConfig(model=model, seed=seed), run_path)
            with RunStatus(run_path) as status:
                status.progress(100, 100)
            evaluation = start_evaluation(run_path, {})
            result = ScalarResult(loss + 0.01 * (seed % 3), 0.003, n=359)
            log_record(ResultRecord(about, result), run_path, evaluation=evaluation)
            finish_evaluation(run_path, evaluation, 1)
    return directory


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for torch: several that share a busy core wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blocks_of(page: Path, language: str) -> list[str]:
    """Return the blocks of a page in a language; "" for those without one, which show what is printed."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for name, text in blocks if name == language]


def words_of(text: str) -> str:
    """Return a text with 0 in place of every number and run id, and without what aligns its columns."""
    text = re.sub(r"\d{8}T\d{12}Z_[0-9a-f]{6}", "0", text)
    return " ".join(re.sub(r"[-+]?\d[\d.]*", "0", text.replace("─", "")).split())


def test_the_readme_names_the_pytorch_that_its_command_installs() -> None:
    pinned = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"This installs PyTorch {pinned[1]}." in readme
    assert f"PyTorch {pinned[1]} for CPUs" in readme
    assert f"`torch=={pinned[1]}` in place of its package" in readme  # the site's command takes the newest version
    assert "pip install -c constraints.txt ." in readme


@by_page
@pytest.mark.usefixtures("one_thread")
def test_python_blocks_run_and_commands_print_what_the_page_shows(
    page: Path, experiments: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(experiments.parent)
    for example in Document.parse(str(page), PythonCodeBlockParser(), SkipParser()).examples():
        example.evaluate()
    outputs = [text for text in blocks_of(page, "") if text.startswith("$ pyml ")]
    assert len(outputs) == (page.name in {"README.md", "tutorial.md"})
    for output in outputs:
        command, shown = output.removeprefix("$ pyml ").split("\n", 1)
        done = CliRunner().invoke(cli.group, shlex.split(command))
        assert words_of(done.stdout) == words_of(shown)  # the numbers are those of one version of scikit-learn or torch
    if page.name == "tutorial.md":
        printed = capsys.readouterr().out
        of_first_run, _, of_comparison = blocks_of(page, "")
        assert words_of(of_first_run) in words_of(printed)
        assert printed.endswith(of_comparison)


@pytest.mark.parametrize(("rank", "n_runs"), [(None, 1), ("0", 1), ("1", 0)])
def test_only_the_first_of_several_processes_keeps_a_run(
    rank: str | None, n_runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    text = (ROOT / "docs/lightning_and_trainer.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text.split("\n## Several processes")[1], re.DOTALL)
    given: list[list[object]] = []

    def train_and_predict(callbacks: list[object]) -> list[bool]:
        given.append(callbacks)
        return [True, False, True]

    exec(block, {"RunCallback": lambda run: run, "train_and_predict": train_and_predict})
    assert len(given) == 1  # every process trains
    assert len(given[0]) == n_runs
    assert len(list(tmp_path.glob("experiments/*/results.jsonl"))) == n_runs


@pytest.mark.parametrize(
    ("title", "example"), [("Lightning", "lightning_loop"), ("Hugging Face's Trainer", "trainer_loop")]
)
def test_the_page_on_callbacks_shows_code_of_the_examples(title: str, example: str) -> None:
    """Their packages are not installed for all tests; ``make callbacks-test`` runs the examples."""
    text = (ROOT / "docs/lightning_and_trainer.md").read_text(encoding="utf-8")
    program = (ROOT / f"examples/{example}.py").read_text(encoding="utf-8")
    (section,) = (part for part in text.split("\n## ") if part.startswith(f"{title}\n"))
    whole, inside = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert whole in program
    assert textwrap.indent(inside, "    ") in program  # the page shows the block of a function


@by_page
def test_documented_commands_and_options_exist(page: Path) -> None:
    for line in documented_lines(page):
        words = shlex.split(line, comments=True)
        command = command_of(words)
        assert command, f"{page.name}: no command answers to {line!r}"
        named = {word.partition("=")[0] for word in words if word.startswith("-") and not word[1:2].isdigit()} - {"-m"}
        assert named <= COMMANDS[command], f"{page.name}: {line!r}: {named - COMMANDS[command]} is no option"


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_is_documented_with_exactly_its_options(command: str) -> None:
    titles = {full_name(title): text for title, text in sections_of_reference().items()}
    assert command in titles, f"{REFERENCE.name} needs a section for `{command}`"
    documented = spellings(titles[command]) | EVERYWHERE
    if "All fields of the config are options, as for `pyml-train`" in titles[command]:
        documented |= COMMANDS[command] & spellings(titles["pyml train"])
    missing, unknown = COMMANDS[command] - documented, documented - COMMANDS[command] - EVERYWHERE
    assert not missing, f"{REFERENCE.name}: the section of `{command}` does not name {sorted(missing)}"
    assert not unknown, f"{REFERENCE.name}: the section of `{command}` names {sorted(unknown)}, which --help does not"


def test_the_list_of_modules_is_that_of_the_code() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_modules.py"))["page"]()
    written = (ROOT / "docs" / "modules.md").read_text(encoding="utf-8")
    assert written == page, "docs/modules.md is old; run: python docs/make_modules.py"


def test_every_folder_has_a_place_in_the_contributors_table() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("| folder |")[1].split("\n\n")[0]
    listed = set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    sources = [
        path
        for top in ("core", "results", "csrc")
        for path in ROOT.glob(f"{top}/**/*.[pch]*")
        if "__pycache__" not in path.parts
    ]
    folders = {path.parent.relative_to(ROOT).as_posix() for path in sources}
    tops = {
        path.parts[0]
        for path in (each.relative_to(ROOT) for each in ROOT.glob("*/*"))
        if not path.parts[0].startswith(".")
    }
    expected = folders | (tops & {"scripts", "benchmarks", "examples", "docs"})
    assert listed == expected, "CONTRIBUTING.md: the table of folders and the tree differ"


CHANGES = (
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("| change | place |\n|---|---|\n")[1].split("\n\n")[0]
)


@pytest.mark.parametrize("row", CHANGES.splitlines(), ids=lambda row: row.split(" | ")[0].strip("| "))
def test_the_places_of_changes_exist(row: str) -> None:
    _, place = row.strip("| ").split(" | ")
    folders, texts, names = [ROOT], [], []
    for word in re.findall(r"`([^`]+)`", place):
        # A file is named from the root, or beside one that the row has named before.
        found = [path for folder in reversed(folders) for path in folder.glob(word)] if word[0].isalpha() else []
        if found:
            folders += [path if path.is_dir() else path.parent for path in found]
            files = [file for path in found for file in (path.glob("*.[ph]*") if path.is_dir() else [path])]
            texts += [file.read_text(encoding="utf-8") for file in files]
        elif re.fullmatch(r"[\w.]+", word) and not re.search(r"\.(py|hpp|md|toml)$", word):
            names.append(word.rpartition(".")[2])
        else:
            assert re.fullmatch(r"[\w-]+=\w+", word), f"CONTRIBUTING.md: no file {word}"
    for name in names:
        assert any(re.search(rf"\b{name}\b", text) for text in texts), (
            f"CONTRIBUTING.md: {name} is in no file of: {row}"
        )
