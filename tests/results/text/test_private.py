"""A public report names no host, user or path: not in its text, not in its pictures."""

import base64
import json
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from made_runs import Invoke
from written_runs import record, write_run

from results.text.private import Redaction

SECRETS = ("node17", "alice", "/scratch", "secret-project", "My Data")


@pytest.fixture
def runs(experiments: Path) -> Sequence[Path]:
    made = []
    for number in range(6):
        path = write_run(
            experiments,
            number,
            [record(0.3 + 0.01 * number)],
            state="failed" if number == 5 else "finished",
            environment={"host": "node17.cluster.example", "working_directory": "/home/alice/secret-project"},
            data_dir=f"/scratch/alice/My Data/{number % 2}",
            note="see /home/alice/notes.txt on node17",
            seed=number // 2,
        )
        status = json.loads((path / "status.json").read_text())
        status |= {"host": "node17", "reason": "OSError: /scratch/alice/My Data/x: no such file on node17 for alice"}
        (path / "status.json").write_text(json.dumps(status))
        curve = {"schema": "pyml.metrics/1", "step": 10, "measures": {"loss": {"mean": 0.5, "spread": 0.1, "n": 4}}}
        (path / "metrics.jsonl").write_text(json.dumps(curve) + "\n" + json.dumps({**curve, "step": 20}) + "\n")
        made.append(path)
    return made


def everything(page: str) -> str:
    """Return the page and the text of its pictures."""
    pictures = [base64.b64decode(found).decode("utf-8", "replace") for found in re.findall(r"base64,([\w+/=]+)", page)]
    return "\n".join([page, *pictures])


@pytest.mark.usefixtures("runs")
def test_a_public_report_holds_nothing_private(invoke: Invoke, tmp_path: Path) -> None:
    code, _, err = invoke("report", "--public", "--output", tmp_path / "public.html")
    assert code == 0, err
    text = everything((tmp_path / "public.html").read_text())
    found = [secret for secret in (*SECRETS, str(tmp_path), socket.gethostname()) if secret in text]
    assert found == []
    assert "[path 1]" in text


@pytest.mark.usefixtures("runs")
def test_groups_that_differ_in_a_path_stay_apart(invoke: Invoke, tmp_path: Path) -> None:
    pages = []
    for options in (["--public"], []):
        assert invoke("report", *options, "--output", tmp_path / "page.html")[0] == 0
        pages.append((tmp_path / "page.html").read_text())
    assert all("6 runs (1 failed, 5 finished) in 2 groups" in page for page in pages)
    assert "/scratch/alice" in pages[1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("loss/val 12 images/s and/or", "loss/val 12 images/s and/or"),
        ("a=/x/y.png, b", "a=[path 1], b"),
        ("/x/y and /x/y and /z", "[path 1] and [path 1] and [path 2]"),
        ("see ~/runs/1 or ~bob/2", "see [path 1] or [path 2]"),
        (r"C:\Users\bob\x.png", "[path 1]"),
        ("file:///home/bob/x", "[path 1]"),
        ("https://example.org/x", "https://example.org/x"),
        ("on box7 and box77, bob's bobsled", "on [host 1] and box77, [user 1]'s bobsled"),
        ("in /My Data/a b", "in [path 1] b"),
    ],
)
def test_paths_hosts_and_users_become_placeholders(text: str, shown: str) -> None:
    assert Redaction(["/My Data"], ["box7"], ["bob"])(text) == shown
