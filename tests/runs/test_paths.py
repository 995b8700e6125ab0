"""Paths are strings or Path objects everywhere."""

import ast
from pathlib import Path

import pytest

from core.runs import Run
from core.runs.config_file import read_config_file, read_fields
from core.runs.directory import has_begun, resolve_run, run_ids
from core.runs.evaluations import finish_evaluation, start_evaluation
from core.runs.result_log import read_result_log
from results.database import ResultsDatabase

ROOT = Path(__file__).parents[2]
ROOMS = ("core/runs", "core/utils", "core/sweeps", "core/diffusion/training", "results")
PUBLIC = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))] + [ROOT / "core/diffusion/trained.py"]
CALLED_BY_US = {("tracking.py", "start"), ("tensorboard.py", "start")}  # a tracker is given a Path
DIRECTORIES = {"run_path", "experiments_dir"}


@pytest.mark.parametrize("kind", [str, Path])
def test_a_run_is_read_by_paths_of_either_kind(kind: type, tmp_path: Path) -> None:
    experiments = kind(tmp_path)
    with Run({"seed": 0}, experiments_dir=experiments) as run:
        pass
    path = kind(run.path)
    finish_evaluation(path, start_evaluation(path, {}), 0)
    assert run_ids(experiments) == [run.id]
    assert has_begun(path)
    assert resolve_run("latest", experiments) == resolve_run(path, experiments) == run.path
    assert read_fields(path) == {"seed": 0}
    assert not read_result_log(path).faults
    assert len(ResultsDatabase(experiments)) == 1
    (tmp_path / "run.toml").write_text("seed = 3")
    assert read_config_file(kind(tmp_path / "run.toml"))[0].values == {"seed": 3}


def test_no_public_function_takes_path_objects_alone() -> None:
    narrow = [
        f"{path.relative_to(ROOT)}: {node.name}({argument.arg})"
        for path in PUBLIC
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        for argument in [*node.args.args, *node.args.kwonlyargs]
        if argument.arg in DIRECTORIES and argument.annotation and "str" not in ast.unparse(argument.annotation)
        if (path.name, node.name) not in CALLED_BY_US
    ]
    assert narrow == []
