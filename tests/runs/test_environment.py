"""What environment.json records, and what it leaves out."""

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from core.runs import strict_json
from core.runs.environment import ENVIRONMENT, describe_environment, installed_packages, read_environment_fields


def test_secrets_on_the_command_line_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/train.py", "--api-key", "abc", "--lr", "0.1"])
    assert describe_environment()["command"] == "train.py --api-key '<redacted>' --lr 0.1"


def test_the_private_fields_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYML_RECORD", "minimal")
    environment = describe_environment()
    assert (environment["host"], environment["working_directory"], environment["command"]) == (None, None, None)
    assert environment["python"]


def test_a_package_with_damaged_metadata_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {"good": b"Name: good\nVersion: 1\n", "bad": b"Name: b\xe9\nVersion: 1\n"}.items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_packages()["good"] == "1"


def test_all_installed_packages_are_recorded_as_their_metadata_says() -> None:
    expected: dict[str, str] = {}
    for dist in importlib.metadata.distributions():
        expected.setdefault(dist.metadata["Name"], dist.metadata["Version"])
    assert installed_packages() == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("METADATA", "Metadata-Version: 2.1\nName: odd\nVersion: 1.2\n\nName: other\nVersion: 9\n"),
        ("METADATA", "Metadata-Version: 2.1\r\nName: odd\r\nVersion: 1.2\r\n\r\nVersion: 9\r\n"),
        ("METADATA", "name:odd\nVERSION:  1.2 \n"),
        ("METADATA", "Summary: a\n Version: 9\nName:\n odd\nVersion: 1.2\nVersion: 9\n"),
        ("PKG-INFO", "Metadata-Version: 1.0\nName: odd\nVersion: 1.2\n"),
    ],
)
def test_each_form_of_metadata_is_read(
    name: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "odd-1.dist-info"
    folder.mkdir()
    (folder / name).write_text(content, newline="")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {name.strip(): version.strip() for name, version in installed_packages().items()}
    assert found["odd"] == "1.2"


@pytest.mark.parametrize(
    "content",
    [
        {"torch": "2.6", "packages": {"a": "1"}, "git_commit": None, "command": "train --seed 1", "device": "cpu"},
        {"packages": {"a": "1"}, "command": 'say ",\n  \\"command\\": 1'},
        {"packages": {}, "command": None},
        {"packages": {"command": "1"}, "device": "cpu"},
        {"command": ["a", "b"], "packages": {"a": "1"}},
        {"x": {"command": "inner"}, "packages": {"a": "1"}, "command": "outer"},
    ],
)
def test_the_fields_are_those_of_the_whole_file(content: dict[str, Any], tmp_path: Path) -> None:
    for command in (content.get("command"), "another"):  # the second one shares what was parsed for the first
        fields = content | ({"command": command} if "command" in content else {})
        ENVIRONMENT.write(tmp_path, fields)
        expected = json.loads((tmp_path / ENVIRONMENT.name).read_text())
        assert {**read_environment_fields(tmp_path), "packages": fields["packages"]} == expected


@pytest.mark.parametrize("line", ['"a" "b",', "1e999,", ",", '"a",\n  "command": "b",', '"a'])
def test_a_damaged_command_is_read_as_the_whole_file_would_be(line: str, tmp_path: Path) -> None:
    text = '{\n  "packages": {\n    "a": "1"\n  },\n  "command": ' + line + '\n  "device": "cpu"\n}\n'
    (tmp_path / ENVIRONMENT.name).write_text(text)
    try:
        expected = strict_json.loads(text)
    except ValueError:
        expected = {"packages": {}}
    assert {**read_environment_fields(tmp_path), "packages": {}} == {**expected, "packages": {}}
