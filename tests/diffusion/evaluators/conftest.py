"""A run that an evaluator's tests may write into."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def run_path(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run that may be evaluated."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))
