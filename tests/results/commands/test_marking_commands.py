"""pyml tag, note, archive and unarchive: what they write, and what other commands then show."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve
from made_runs import Invoke
from written_runs import record, write_run

from core.config.errors import ConfigError
from core.runs.directory import resolve_run
from core.runs.tags import Tags, changed
from results.commands import marking
from results.run import Run


@pytest.fixture
def runs(experiments: Path) -> list[Path]:
    """Two models of two seeds."""
    return [
        write_run(experiments, i, [record(0.3 + 0.01 * i)], model="mlp" if i < 2 else "unet", seed=i % 2)
        for i in range(4)
    ]


def saved(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((path / "tags.json").read_text())
    return content


def listed(invoke: Invoke, *options: str) -> list[str]:
    code, out, _ = invoke("runs", *options)
    assert code == 0
    return [line.split()[0] for line in out.splitlines() if line.startswith("2026")]


def test_tags_are_added_removed_shown_and_selected_by(runs: list[Path], invoke: Invoke) -> None:
    code, out, err = invoke("tag", runs[0].name, runs[3].name, "+good", "+v1.2")
    assert (code, err) == (0, "")
    assert out == f"{runs[0].name}: good, v1.2\n{runs[3].name}: good, v1.2\n"
    invoke("tag", runs[3].name, "-v1.2", "+old-one", "-missing")
    assert saved(runs[3])["tags"] == ["good", "old-one"]
    assert invoke("tag", "latest")[1] == f"{runs[3].name}: good, old-one\n"
    assert listed(invoke, "--where", "tag=good") == [runs[0].name, runs[3].name]
    assert listed(invoke, "--where", "tag!=good") == [runs[1].name, runs[2].name]
    assert listed(invoke, "--where", "tag=old*") == [runs[3].name]
    assert listed(invoke, "--where", "no tag") == [runs[1].name, runs[2].name]
    assert "good, old-one" in invoke("runs")[1]
    assert "tags         good, old-one" in invoke("runs", "show", "latest")[1]


def test_runs_are_tagged_by_a_condition(runs: list[Path], invoke: Invoke) -> None:
    invoke("tag", "--where", "model=unet", "+baseline")
    assert listed(invoke, "--where", "tag=baseline") == [runs[2].name, runs[3].name]


def test_tagging_changes_all_runs_or_none(runs: list[Path], invoke: Invoke) -> None:
    for words in (["latest", "+ok", "+not ok"], ["latest", "2030", "+ok"], [runs[0].name, "+a", "-a"], ["latest", "+"]):
        code, out, _ = invoke("tag", *words)
        assert (code, out) == (2, "")
    assert not list(runs[0].parent.glob("*/tags.json"))


def test_a_tag_without_a_sign_is_refused_with_the_remedy(runs: list[Path], invoke: Invoke) -> None:
    code, out, err = invoke("tag", "latest", "good")
    assert (code, out) == (2, "")
    assert "no run 'good'" in err
    assert err.endswith("To add a tag, put a plus before it: +good\n")
    assert "plus" not in invoke("tag", "good")[2]


def test_a_damaged_file_is_reported_and_never_overwritten(runs: list[Path], invoke: Invoke) -> None:
    (runs[0] / "tags.json").write_text("{")
    code, _, err = invoke("tag", runs[0].name, "+good")
    assert code == 2
    assert "tags.json: is not valid JSON" in err
    assert (runs[0] / "tags.json").read_text() == "{"
    code, out, err = invoke("runs")
    assert code == 0
    assert runs[0].name in out
    assert "tags.json: is not valid JSON" in err


def test_commands_without_a_run_say_what_is_accepted(runs: list[Path], invoke: Invoke) -> None:
    for command in ("tag", "archive", "unarchive"):
        code, _, err = invoke(command)
        assert code == 2
        assert "got no run; accepted: a path, a run id" in err


def test_a_note_is_written_shown_and_removed(runs: list[Path], invoke: Invoke) -> None:
    assert invoke("note", "latest")[1] == f"{runs[3].name}: no note\n"
    invoke("note", "latest", "lr too high?\nsee \x1b[31mlog")
    code, out, _ = invoke("note", "latest")
    assert code == 0
    assert out.startswith("lr too high?\nsee ")
    assert "\x1b" not in out
    assert listed(invoke, "--where", "note=lr*") == [runs[3].name]
    assert "lr too high?" in invoke("runs", "show", "latest")[1]
    assert "lr too high?" in invoke("runs", "--field", "note")[1]
    invoke("note", "latest", "")
    assert saved(runs[3])["note"] == ""


def test_archived_runs_are_left_out_until_they_are_asked_for(runs: list[Path], invoke: Invoke) -> None:
    files = {path: path.read_bytes() for path in runs[0].iterdir()}
    invoke("archive", runs[0].name, runs[1].name)
    assert {path: path.read_bytes() for path in runs[0].iterdir() if path.name != "tags.json"} == files
    assert listed(invoke) == [runs[2].name, runs[3].name]
    assert "2 archived runs are left out: --archived." in invoke("runs")[1]
    assert listed(invoke, "--archived") == [path.name for path in runs]
    assert listed(invoke, "--where", "archived=true") == [runs[0].name, runs[1].name]
    assert "mlp" not in invoke("table")[1]
    assert "mlp" in invoke("table", "--archived")[1]
    code, _, err = invoke("compare", "model=mlp", "model=unet")
    assert code == 2
    assert "none of the 2 runs meets it" in err
    assert invoke("compare", "model=mlp", "model=unet", "--archived")[0] == 0
    assert runs[0].name not in invoke("runs", "export")[1]
    assert invoke("runs", "show", runs[0].name)[0] == 0  # by name it is found all the same


def test_unarchive_brings_runs_back(runs: list[Path], invoke: Invoke) -> None:
    invoke("archive", "--where", "model=mlp")
    assert f"{runs[0].name}: was archived already" in invoke("archive", runs[0].name)[1]
    invoke("unarchive", "--where", "seed=0")
    assert listed(invoke) == [runs[0].name, runs[2].name, runs[3].name]
    invoke("unarchive", runs[1].name)
    assert listed(invoke) == [path.name for path in runs]


def test_if_all_runs_are_archived_the_message_says_so(runs: list[Path], invoke: Invoke) -> None:
    invoke("archive", *(path.name for path in runs))
    code, _, err = invoke("runs")
    assert code == 2
    assert "all 4 runs are archived. Try: --archived." in err


def test_latest_is_the_newest_run_that_is_not_archived(runs: list[Path], invoke: Invoke) -> None:
    invoke("archive", "latest")
    assert saved(runs[3])["archived"] is True
    assert resolve_run("latest", runs[0].parent) == runs[2]
    (runs[2] / "tags.json").write_text("{")  # damaged, so nothing says that the run is archived
    assert resolve_run("latest", runs[0].parent) == runs[2]
    (runs[2] / "tags.json").unlink()
    invoke("archive", *[run.name for run in runs])
    with pytest.raises(ConfigError, match=r"holds archived runs only \(4\).*pyml unarchive RUN"):
        resolve_run("latest", runs[0].parent)


def test_commands_at_the_same_moment_keep_all_changes(runs: list[Path]) -> None:
    names = [f"t{i}" for i in range(16)]

    def tag(name: str) -> None:
        def change(tags: Tags) -> Tags:
            return evolve(tags, tags=changed(tags.tags, [name]))

        marking.mark([Run(runs[0]), Run(runs[1])], change)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(tag, names))
    assert saved(runs[0])["tags"] == saved(runs[1])["tags"] == sorted(names)
