"""Every public function with four or more arguments explains each of them in an ``Args`` section."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for room in ("core", "results") for path in (ROOT / room).rglob("*.py"))
MANY = 4
# the functions of commands explain their options in --help, which click builds from the decorators
NOT_BY_DOCSTRING = re.compile(r"\.(command|group)\b|\boverload\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(body: list[ast.stmt]) -> Iterator[Function]:
    """Yield the public functions and the public methods of public classes."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)
        elif isinstance(node, Function) and not node.name.startswith("_") and not is_command(node):
            yield node


def is_command(function: Function) -> bool:
    """Return whether click calls the function, or a type checker reads it alone."""
    return any(NOT_BY_DOCSTRING.search(ast.unparse(each)) for each in function.decorator_list)


def argument_names(function: Function) -> list[str]:
    """Return the names of all arguments except self and cls."""
    a = function.args
    variable = [each for each in (a.vararg, a.kwarg) if each]
    names = [each.arg for each in (*a.posonlyargs, *a.args, *a.kwonlyargs, *variable)]
    return [name for name in names if name not in ("self", "cls")]


def unexplained(source: str) -> list[str]:
    """Return "function: argument" for each argument that an ``Args`` section should explain and does not."""
    missing = []
    for function in public_functions(ast.parse(source).body):
        names = argument_names(function)
        if len(names) < MANY:
            continue
        _, _, section = (ast.get_docstring(function) or "").partition("Args:\n")
        section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]  # up to the next section
        explained = set(re.findall(r"^    \*{0,2}(\w+): \S", section, flags=re.MULTILINE))
        missing += [f"{function.name}: {name}" for name in names if name not in explained]
    return missing


def test_every_argument_of_a_function_with_many_is_explained() -> None:
    found = {str(path.relative_to(ROOT)): unexplained(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: missing for path, missing in found.items() if missing} == {}


@pytest.mark.parametrize(
    ("docstring", "missing"),
    [
        ("Add.", ["add: a", "add: b", "add: c", "add: d"]),
        ("Add.\n\n    Args:\n        a: One.\n        b: Two.\n        c: Three.\n        **d: Others.\n    ", []),
        ("Add.\n\n    Args:\n        a: One.\n        b: Two.\n        **d: Others.\n    ", ["add: c"]),
        (
            "Add.\n\n    Args:\n        a: 1.\n        b: 2.\n        c: 3.\n\n    Raises:\n        d: 4.\n    ",
            ["add: d"],
        ),
    ],
)
def test_a_missing_explanation_is_found(docstring: str, missing: list[str]) -> None:
    assert unexplained(f'def add(a, b, *, c=0, **d):\n    """{docstring}"""\n') == missing
    assert unexplained('class A:\n    def add(self, a, b, *, c=0, **d):\n        """Add."""\n') != []
    assert unexplained("def _add(a, b, c, d):\n    pass\n") == []
