"""Files that a crash cannot tear."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.runs.files import append_json_line, read_json_lines, replacing, write_atomic


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replacement_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"one")

    def fail_half_way() -> None:
        with replacing(path) as file:
            file.write(b"tw")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_half_way()
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_line_costs_only_itself_and_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_json_line(path, {"x": 1})
    with path.open("ab") as file:
        file.write(b'\n{"x": 2, "torn')
    append_json_line(path, {"x": 3})
    before = path.read_bytes()
    rows, faults = read_json_lines(path)
    assert rows == [{"x": 1}, {"x": 3}]
    assert [fault.line_number for fault in faults] == [4]
    assert "not valid JSON" in str(faults[0])
    assert path.read_bytes() == before, "readers never modify a file"


def test_lines_that_are_no_objects_or_no_text_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'[1]\n\xff\xfe\n{"x": 1}\n')
    rows, faults = read_json_lines(path)
    assert rows == [{"x": 1}]
    assert [fault.reason.split(" (")[0] for fault in faults] == ["got a list, not an object", "not valid JSON"]


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert read_json_lines(tmp_path / "none.jsonl") == ([], [])


def test_a_write_that_the_disk_cuts_short_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    with pytest.raises(OSError, match="only 5 of 10 bytes could be written; is the disk full"):
        append_json_line(tmp_path / "a.jsonl", {"x": 1})
    monkeypatch.undo()
    append_json_line(tmp_path / "a.jsonl", {"x": 2})
    assert read_json_lines(tmp_path / "a.jsonl")[0] == [{"x": 2}]


def test_many_processes_append_to_one_file_without_loss(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = (
        "import sys; from pathlib import Path; from core.runs.files import append_json_line\n"
        "for i in range(25): append_json_line(Path(sys.argv[1]), {'who': int(sys.argv[2]), 'i': i, 'pad': 'x' * 5000})"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(who)]) for who in range(4)]
    assert [worker.wait() for worker in workers] == [0, 0, 0, 0]
    rows, faults = read_json_lines(path)
    assert not faults
    assert sorted((row["who"], row["i"]) for row in rows) == [(who, i) for who in range(4) for i in range(25)]


def test_a_saved_line_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = (
        "import os, signal, sys; from pathlib import Path; from core.runs.files import append_json_line\n"
        "append_json_line(Path(sys.argv[1]), {'x': 1}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert json.loads(path.read_text()) == {"x": 1}
