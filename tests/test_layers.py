"""The house's layers: imports point downwards, and what must start fast imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {
    "config": 0,
    "_meter": 1,
    "meter": 1,
    "utils": 2,
    "runs": 3,
    "plugins": 4,
    "diffusion": 5,
    "commands": 6,
    "cli": 6,
    "__main__": 7,
    "__init__": 7,
}
#: Public names that live a layer above: a face may import its room.
FACES = {"core/utils/results.py": {"core.runs"}, "core/utils/utils.py": {"core.runs"}}
HEAVY = {"torch", "scipy", "matplotlib", "sklearn", "cattrs", "rich", "pandas", "uncertainties"}


def layer_of(module: str) -> int | None:
    parts = module.split(".")
    return LAYERS[parts[1]] if parts[0] == "core" and len(parts) > 1 else None


def imports_of(path: Path) -> set[str]:
    """Return the full names of all that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.glob("core/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_imports_point_down_the_layers(path: Path) -> None:
    mine = layer_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    rooms = FACES.get(path.relative_to(ROOT).as_posix(), set())
    for module in imports_of(path):
        assert module.split(".")[0] not in {"results", "scripts", "tests"}, f"{path} imports {module}"
        if any(module.startswith(f"{room}.") for room in rooms):
            continue
        theirs = layer_of(module)
        assert mine is None or theirs is None or theirs <= mine, f"{path} imports {module}, a layer above it"


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_results_use_only_the_lower_layers(path: Path) -> None:
    for module in imports_of(path):
        assert module.split(".")[0] not in {"scripts", "tests"}
        theirs = layer_of(module)
        assert theirs is None or theirs <= LAYERS["plugins"], f"{path} imports {module}"


def loaded_by(code: str) -> set[str]:
    code = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module",
    ["core", "core.config", "core.plugins", "core.cli", "core.utils.results", "core.utils.meters", "core.utils.utils"],
)
def test_the_light_modules_import_nothing_heavy(module: str) -> None:
    assert not loaded_by(f"import {module}") & HEAVY


def test_the_command_line_starts_without_numpy() -> None:
    assert not loaded_by("import core.cli") & (HEAVY | {"numpy"})
