"""Text from files of a run reaches the terminal, Markdown, CSV, LaTeX and HTML without anything that controls them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from made_runs import Invoke
from written_runs import measure, record, write_run

#: A title for the terminal (C0 and C1), a bidirectional override, a line separator, a BOM, a carriage return.
HOSTILE = "a\x1b]0;owned\x07\x9b31m\u202eb\u2066\u2028c\ufeffd\u200be\rf"
NAME = f"loss{HOSTILE}"
ALLOWED = "\n"


def controls(text: str) -> set[str]:
    return {c for c in text if not c.isprintable() and c not in ALLOWED}


@pytest.fixture
def hostile(experiments: Path) -> Sequence[Path]:
    paths = []
    for seed in range(4):
        group = {"dataset": f"{HOSTILE}{seed % 2}", HOSTILE: "x", "seed": seed}
        path = write_run(
            experiments,
            seed,
            [record(0.1 * seed + 0.3, measure(NAME, protocol={HOSTILE: HOSTILE}))],
            environment={"host": HOSTILE, "git_commit": HOSTILE, "packages": {HOSTILE: HOSTILE}},
            **group,
        )
        status = json.loads((path / "status.json").read_text())
        (path / "status.json").write_text(json.dumps({**status, "reason": HOSTILE}))
        with (path / "results.jsonl").open("a") as file:
            file.write(json.dumps({"schema": HOSTILE}) + "\n")
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs"],
        ["runs", "--metric", "*", "--field", HOSTILE],
        ["runs", "--sort", "dataset", "--field", "dataset"],
        ["runs", "show", "latest", "--all", "--packages"],
        ["runs", "diff", "latest", "20260101T000000000000Z"],
        ["runs", "export"],
        ["runs", "export", "--format", "json"],
        ["runs", "show", f"no-such-{HOSTILE}"],
        ["runs", "--where", f"{HOSTILE}=1"],
        ["runs", "--no-such-option" + HOSTILE],
        *(["table", "--metric", "*", "--format", style] for style in ("text", "markdown", "latex", "csv", "json")),
        ["table", "--metric", HOSTILE],
        ["compare", f"dataset={HOSTILE}0", f"dataset={HOSTILE}1", "--metric", "*"],
        ["compare", f"dataset={HOSTILE}0", f"dataset={HOSTILE}1", "--metric", "*", "--json"],
    ],
    ids=lambda arguments: " ".join(arguments).encode("ascii", "ignore").decode().replace("\x1b", ""),
)
@pytest.mark.usefixtures("hostile")
def test_no_control_character_is_printed(invoke: Invoke, arguments: list[str]) -> None:
    code, out, err = invoke(*arguments)
    assert code in {0, 2}, err
    assert out + err
    assert not controls(out + err)


@pytest.mark.parametrize("suffix", ["txt", "md", "tex", "csv", "json"])
@pytest.mark.usefixtures("hostile")
def test_no_control_character_is_written_to_a_table(invoke: Invoke, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    code, _, err = invoke("table", "--metric", "*", "--output", path)
    assert code == 0, err
    assert not controls(path.read_text())


@pytest.mark.usefixtures("hostile")
def test_no_control_character_is_written_to_the_report(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    code, _, err = invoke("report", "--output", path)
    assert code == 0, err
    assert not controls(path.read_text().replace("\N{NO-BREAK SPACE}", ""))  # numbers are kept on one line


@pytest.mark.usefixtures("hostile")
def test_json_keeps_what_other_formats_replace(invoke: Invoke) -> None:
    runs = json.loads(invoke("runs", "export", "--format", "json")[1])["runs"]
    assert runs[0]["config"]["dataset"] == f"{HOSTILE}0"
