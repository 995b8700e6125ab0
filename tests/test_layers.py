"""The house's layers: imports point downwards and in no circle, and what must start fast imports nothing heavy.

Every import counts, those inside functions too. Imports for type checkers only (``if TYPE_CHECKING``) must respect the
layers, but cannot close a circle: they never run.
"""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {
    "config": 0,
    "_meter": 1,
    "meter": 1,
    "utils": 2,
    "registry": 2,
    "runs": 3,
    "plugin_groups": 2,
    "plugins": 4,
    "trackers": 4,
    "diffusion": 5,
    "commands": 6,
    "sweeps": 6,
    "cli": 6,
    "__main__": 7,
}
#: Public names that live a layer above: a face may import its room.
FACES = {"core.utils.results": "core.runs", "core.utils.utils": "core.runs"}
HEAVY = {"torch", "scipy", "matplotlib", "sklearn", "cattrs", "rich", "pandas", "uncertainties"}


@functools.cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    name_of(path): path
    for package in ("core", "results", "scripts")
    for path in sorted(ROOT.glob(f"{package}/**/*.py"))
}


def statements(node: ast.AST, *, types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield all import statements below a node; with ``types`` also those that only type checkers run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not types:
            yield from statements(ast.Module(child.orelse, []), types=types)
        elif not isinstance(child, ast.expr):  # which holds no statement
            yield from statements(child, types=types)


def imports_of(module: str, *, types: bool = False) -> set[str]:
    """Return the modules that a module imports anywhere in it: ours by their full names, others' as written."""
    found: set[str] = set()
    for node in statements(parsed(module), types=types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{module}: relative import"
            of_a_package = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in of_a_package}
    return found


def layer_of(module: str) -> int | None:
    parts = module.split(".")
    return LAYERS[parts[1]] if parts[0] == "core" and len(parts) > 1 else None


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected parts of more than one node (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return found


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("core")])
def test_core_imports_point_down_the_layers(module: str) -> None:
    mine = layer_of(module)
    for other in imports_of(module, types=True):
        assert other.split(".")[0] not in {"results", "scripts", "tests"}, f"{module} imports {other}"
        if module in FACES and other.startswith(FACES[module]):
            continue
        theirs = layer_of(other)
        assert mine is None or theirs is None or theirs <= mine, f"{module} imports {other}, a layer above it"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("results")])
def test_results_use_only_the_lower_layers(module: str) -> None:
    for other in imports_of(module, types=True):
        assert other.split(".")[0] not in {"scripts", "tests"}
        theirs = layer_of(other)
        assert theirs is None or theirs <= LAYERS["plugins"], f"{module} imports {other}"


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles({module: imports_of(module) & MODULES.keys() for module in MODULES}) == []


def test_circles_are_found_and_chains_are_none() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"g"}, "g": {"f"}}
    assert circles(graph) == [["a", "b", "c"], ["f", "g"]]


def test_imports_inside_functions_are_seen_and_those_for_types_only_when_asked_for() -> None:
    code = "if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    if x:\n        import c"
    names = [[s.names[0].name for s in statements(ast.parse(code), types=types)] for types in (False, True)]
    assert names == [["b", "c"], ["a", "b", "c"]]


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


def printing_calls(module: str) -> list[str]:
    """Return the calls in a module that print something, or write to a standard stream, by themselves."""
    printers = {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}
    calls = [ast.unparse(node.func) for node in ast.walk(parsed(module)) if isinstance(node, ast.Call)]
    return [name for name in calls if name in printers]


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"core.utils.output"}))
def test_only_one_module_prints(module: str) -> None:
    assert printing_calls(module) == []  # say() and put() replace what could control the terminal
