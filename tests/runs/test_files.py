"""Files that a crash cannot tear."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.runs import files
from core.runs.config_file import save_config
from core.runs.files import append_json_line, read_json_lines, replacing, write_atomic
from core.runs.status import RunStatus


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
        file.write(b'{"x": 2, "torn')
    append_json_line(path, {"x": 3})
    before = path.read_bytes()
    rows, faults = read_json_lines(path)
    assert rows == [{"x": 1}, {"x": 3}]
    assert [fault.line_number for fault in faults] == [2]
    assert "not valid JSON" in str(faults[0])
    assert path.read_bytes() == before, "readers never modify a file"


def test_every_record_is_one_line_of_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for x in range(3):
        append_json_line(path, {"x": x})
    assert path.read_bytes() == b'{"x": 0}\n{"x": 1}\n{"x": 2}\n'


@pytest.mark.parametrize("torn", [b"{", b'{"x": 2, "torn', b'{"x": 2}', b"\xff", b" ", b'{"x": 2}\n\n{"y'])
def test_a_record_after_a_torn_line_stands_on_a_line_of_its_own(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(torn)
    append_json_line(path, {"x": 3})
    append_json_line(path, {"x": 4})
    assert path.read_bytes().split(b"\n")[-3:] == [b'{"x": 3}', b'{"x": 4}', b""]
    assert read_json_lines(path)[0][-2:] == [{"x": 3}, {"x": 4}]


def test_files_with_empty_lines_between_records_still_load_and_can_be_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\n{"x": 1}\n\n{"x": 2}\n')  # as the first version wrote it
    append_json_line(path, {"x": 3})
    assert read_json_lines(path) == ([{"x": 1}, {"x": 2}, {"x": 3}], [])
    assert path.read_bytes().endswith(b'{"x": 2}\n{"x": 3}\n')


def test_writers_beside_a_writer_that_tears_lines_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = (
        "import sys; from pathlib import Path; from core.runs.files import append_json_line\n"
        "for i in range(50): append_json_line(Path(sys.argv[1]), {'who': int(sys.argv[2]), 'i': i, 'pad': 'x' * 500})"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(who)]) for who in range(2)]
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while any(worker.poll() is None for worker in workers):
        os.write(descriptor, b'{"torn": "')
    os.close(descriptor)
    assert [worker.wait() for worker in workers] == [0, 0]
    rows, _ = read_json_lines(path)
    assert {(row["who"], row["i"]) for row in rows} == {(who, i) for who in range(2) for i in range(50)}


def test_lines_that_are_no_objects_or_no_text_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'[1]\n\xff\xfe\n{"x": 1}\n')
    rows, faults = read_json_lines(path)
    assert rows == [{"x": 1}]
    assert [re.split(r" \(|; ", fault.reason)[0] for fault in faults] == [
        "got a list, not an object",
        "not valid JSON",
    ]


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert read_json_lines(tmp_path / "none.jsonl") == ([], [])


def test_a_write_that_the_disk_cuts_short_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    with pytest.raises(OSError, match="only 5 of 9 bytes could be written; is the disk full"):
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


def test_a_file_that_cannot_be_read_now_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunStatus(tmp_path):
        pass
    save_config(tmp_path, {"lr": 0.1}, found_in_data=["sigma_data"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(_path: str, _most_bytes: int = 0) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "read_file", fail)
    with pytest.raises(OSError, match=r"status\.json: cannot be read \(Input/output error\); try again"):
        RunStatus(tmp_path)
    with pytest.raises(OSError, match=r"config\.json: cannot be read \(Input/output error\); try again"):
        save_config(tmp_path, {"lr": 0.2})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
