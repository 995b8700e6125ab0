"""What environment.json records, and what it leaves out."""

import sys
from pathlib import Path

import pytest

from core.runs.environment import describe_environment, installed_packages


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
