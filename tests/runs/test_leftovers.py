"""What a killed run leaves behind: temporary files are removed, names are on disk, ``latest`` skips empty runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.config.config import GlobalConfig
from core.config.errors import ConfigError
from core.runs import Run, files
from core.runs.directory import create_experiment_subdir, resolve_run
from core.runs.evaluations import start_evaluation
from core.runs.sample_values import save_values
from core.utils.results import ResultMetadata

NEWER = "20990101T000000000000Z_000000"


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories that were synced, in order."""
    seen: list[Path] = []
    sync = files.sync_directory

    def note(path: Path) -> None:
        seen.append(path)
        sync(path)

    monkeypatch.setattr(files, "sync_directory", note)
    return seen


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: create_experiment_subdir(GlobalConfig(experiments_dir=path / "a" / "b"), "r"), ["", "a", "a/b"]),
        (lambda path: start_evaluation(path, {}), ["", "evaluations"]),
        (
            lambda path: save_values(path, "eval-0001", "x", [0], [1.0], ResultMetadata("x")),
            ["", "values", "values/eval-0001"],
        ),
    ],
    ids=["experiments directory", "evaluations", "values"],
)
def test_new_directories_are_synced_into_their_parents(
    tmp_path: Path, synced: list[Path], make: Callable[[Path], object], expected: list[str]
) -> None:
    make(tmp_path)
    assert [path.relative_to(tmp_path).as_posix().strip(".") for path in synced][: len(expected)] == expected


def test_a_directory_that_exists_is_not_synced_again(tmp_path: Path, synced: list[Path]) -> None:
    files.make_directory(tmp_path)
    assert synced == []
    with pytest.raises(FileExistsError, match=tmp_path.name):
        files.make_directory(tmp_path, exist_ok=False)


def test_a_run_that_was_killed_before_its_config_is_not_the_latest(tmp_path: Path) -> None:
    with Run({"seed": 0}, experiments_dir=tmp_path) as run:
        pass
    (tmp_path / NEWER).mkdir()
    assert resolve_run("latest", tmp_path) == run.path
    (tmp_path / NEWER / "status.json").write_text("{}")
    assert resolve_run("latest", tmp_path) == run.path
    assert resolve_run(NEWER, tmp_path) == tmp_path / NEWER
    (run.path / "config.json").unlink()
    with pytest.raises(ConfigError, match="holds no run yet"):
        resolve_run("latest", tmp_path)


def test_a_session_removes_the_temporary_files_of_a_killed_one_and_no_other(tmp_path: Path) -> None:
    with Run({"seed": 0}, path=tmp_path / "run"):
        pass
    left = ["checkpoints/.last.pt.0a1b2c3d.tmp", ".status.json.00000000.tmp", "samples/.step-0000012.png.ffffffff.tmp"]
    kept = ["values/.x.npz.0a1b2c3d.tmp", "samples/.eval-0001.png.0a1b2c3d.tmp", "checkpoints/.mine.tmp", "notes.tmp"]
    for name in [*left, *kept]:
        path = tmp_path / "run" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    with Run.resume(tmp_path / "run"):
        pass
    assert not [name for name in left if (tmp_path / "run" / name).exists()]
    assert [name for name in kept if (tmp_path / "run" / name).exists()] == kept
