"""Fixtures: an experiments directory, a maker of runs in it, and the commands as ``python -m core`` starts them."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from made_runs import PLUGINS, Invoke, MakeRun, Results, log, set_status

from core.config import GlobalConfig, ModelConfig
from core.runs.status import RunStatus
from core.utils.utils import create_experiment_subdir, save_config_to_json


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    return tmp_path / "experiments"


@pytest.fixture
def make_run(experiments: Path) -> MakeRun:
    """Return a function that makes a run directory: make_run({LOSS: 0.3}, seed=1, state="failed", **config)."""
    n_made = 0

    def make(
        results: Results | None = None,
        *,
        state: str = "finished",
        reason: str | None = None,
        evaluated: bool = True,
        plugins: Mapping[str, Mapping[str, str]] = PLUGINS,
        config: ModelConfig | None = None,
        **fields: Any,
    ) -> Path:
        nonlocal n_made
        run_id = f"20260101T000000{n_made:06d}Z_{n_made:06x}"
        n_made += 1
        path = create_experiment_subdir(GlobalConfig(experiments_dir=experiments), run_id)
        save_config_to_json(config or ModelConfig(**{"model": "mlp", **fields}), path, plugins)
        with RunStatus(path) as status:
            status.progress(30, 100)
        set_status(path, state=state, reason=reason)
        if results is not None:
            log(path, results, finished=evaluated)
        return path

    return make


@pytest.fixture
def invoke(experiments: Path, run_command: Invoke) -> Invoke:
    """Return a function that runs a command of results by its name: exit code, stdout, stderr."""

    def call(name: str, *arguments: str | Path) -> tuple[int, str, str]:
        command = getattr(importlib.import_module(f"results.commands.{name}"), name)
        return run_command(command, *arguments, "--experiments-dir", experiments)

    return call
