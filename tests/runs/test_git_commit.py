"""The commit of the user's code, of repositories that try to run something too."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from core.runs.git_commit import read_commit


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_the_commit_and_whether_a_tracked_file_differs(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "untracked").write_text("x")
    assert read_commit(repository) == (commit, False)
    (repository / "code.py").write_text("2\n")
    assert read_commit(repository) == (commit, True)


def test_outside_a_repository_both_are_unknown(tmp_path: Path) -> None:
    assert read_commit(tmp_path) == (None, None)


def test_without_git_both_are_unknown(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_commit(repository) == (None, None)


def test_nothing_that_the_repository_configures_is_run(repository: Path, tmp_path: Path) -> None:
    trap, ran = repository / ".git" / "trap", repository / ".git" / "ran"
    trap.write_text(f"#!/bin/sh\necho x >> {ran}\ncat\n")
    trap.chmod(0o755)
    for name in ("core.fsmonitor", "filter.trap.clean", "filter.trap.process"):
        git(repository, "config", name, str(trap))
    git(repository, "config", "core.hooksPath", str(repository / ".git"))
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "attributes").write_text("*.py filter=trap\n")
    ran.unlink(missing_ok=True)
    (repository / "code.py").write_text("3\n")  # of the same size: git must look at the content
    index = hashlib.sha256((repository / ".git" / "index").read_bytes()).digest()
    commit, _ = read_commit(repository)
    assert commit is not None
    assert not ran.exists()
    assert hashlib.sha256((repository / ".git" / "index").read_bytes()).digest() == index


@pytest.fixture
def trap(tmp_path: Path) -> tuple[Path, Path]:
    """A program that a hostile repository wants to be run, and the file that shows that it was."""
    trap, ran = tmp_path / ".git" / "trap", tmp_path / ".git" / "ran"
    (tmp_path / ".git").mkdir(exist_ok=True)
    trap.write_text(f"#!/bin/sh\necho x >> {ran}\ncat\n")
    trap.chmod(0o755)
    return trap, ran


@pytest.mark.parametrize("name", [b"a=b", b"x\xff", b"a.b", b'q"q'], ids=repr)
def test_no_name_of_a_content_filter_evades_the_switch(repository: Path, trap: tuple[Path, Path], name: bytes) -> None:
    program, ran = trap
    quoted = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    with (repository / ".git" / "config").open("ab") as file:
        file.write(b'[filter "' + quoted + b'"]\n\tclean = ' + bytes(program) + b"\n")
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "attributes").write_bytes(b"*.py filter=" + name + b"\n")
    (repository / "code.py").write_text("3\n")  # of the same size: git must look at the content
    commit, _ = read_commit(repository)
    assert commit is not None
    assert not ran.exists()


def test_objects_that_are_missing_are_not_fetched(repository: Path, trap: tuple[Path, Path]) -> None:
    program, ran = trap
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    (repository / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(repository),
        "remote.origin.uploadpack": f"{program}; git-upload-pack",
        "protocol.allow": "always",
    }.items():
        git(repository, "config", name, value)
    ran.unlink(missing_ok=True)
    commit, is_dirty = read_commit(repository)
    assert (commit is not None, is_dirty) == (True, None)
    assert not ran.exists()
