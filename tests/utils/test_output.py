"""Printing: a reader that is gone, slow or never there does not stop the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.utils.output import printable, printable_lines, put, say

ROOT = Path(__file__).parents[2]


def python(code: str, stderr: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
    )


def test_a_full_pipe_costs_lines_not_the_run() -> None:
    read_end, write_end = os.pipe()
    code = "from core.utils.output import say\nfor i in range(3): say('x' * 60_000, err=True)\nprint('done')"
    process = python(code, write_end)
    out, _ = process.communicate()
    os.close(read_end)
    os.close(write_end)
    assert (out, process.returncode) == ("done\n", 0)


def test_a_dead_reader_costs_lines_not_the_run() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = python("from core.utils.output import say\nsay('x', err=True)\nprint('done')", write_end)
    os.close(write_end)
    assert process.communicate()[0] == "done\n"


def test_a_slow_reader_gets_all_of_a_long_text() -> None:
    read_end, write_end = os.pipe()
    process = python("from core.utils.output import say\nsay('x' * 200_000, err=True)", write_end)
    os.close(write_end)
    with os.fdopen(read_end) as reader:
        assert reader.read() == "x" * 200_000 + "\n"
    process.communicate()


def test_a_stream_that_was_never_open_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("to nobody", err=True)
    assert capsys.readouterr().out == ""


def test_files_do_not_get_the_number_of_a_closed_standard_stream(tmp_path: Path) -> None:
    code = """
import click
from core.cli import run
@click.command()
def command():
    print(open("f", "w").fileno() > 2)
run(command, [])
"""
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout == "True\n"


def test_characters_that_the_stream_cannot_show_become_question_marks() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    code = "from core.utils.output import say; say('1 ± 2')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert done.stdout == b"1 ? 2\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1 ± 2 é 漢", "1 ± 2 é 漢"),
        ("a\x1b[31mb\x07", "a\ufffd[31mb\ufffd"),
        ("a\x9b31m\x85", "a\ufffd31m\ufffd"),
        ("\u202eabc\u2066\u2069\u061c", "\ufffdabc\ufffd\ufffd\ufffd"),
        ("a\u2028b\u2029", "a\ufffdb\ufffd"),
        ("a\u200bb\ufeff\xad", "a\ufffdb\ufffd\ufffd"),
        ("a\xa0b\u3000c", "a b c"),
        ("\ud800\U000e0041", "\ufffd\ufffd"),
    ],
)
def test_what_could_control_a_terminal_is_replaced(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(text) == shown
    assert printable_lines(f"{text}\n\t{text}") == f"{shown}\n\t{shown}"
    say(text)
    say(text, err=True)
    put(text, end="")
    assert capsys.readouterr() == (f"{shown}\n{shown}", f"{shown}\n")
    assert printable("a\nb\tc") == "a\ufffdb\ufffdc"


def test_a_path_for_a_script_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\xa0b", exact=True)
    assert capsys.readouterr().out == "a\xa0b\n"
