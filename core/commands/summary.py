"""A command's one-line summary, read from its source, because listing commands must not import them."""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from importlib.machinery import ModuleSpec

from core.plugins import Plugin


def summary_of(plugin: Plugin) -> str:
    """Return the first line of the command function's docstring, else of its module's; "" where none can be read.

    A command of another distribution is followed by that distribution's name.
    """
    owner = "" if plugin.distribution == "pyml-core" else f"  [{plugin.distribution}]"
    try:
        spec = _spec(plugin.entry_point.module)
        source = spec.loader.get_source(spec.name) if spec and spec.loader else None  # type: ignore[attr-defined]
        text = _docstring(source or "", plugin.entry_point.attr)
    except Exception:  # the list must not fail because of one summary; loading the command will say why
        return owner.strip()
    return text.partition("\n")[0] + owner


def _docstring(source: str, function: str) -> str:
    """Return the docstring of a function at the top level of a module, else the module's, else "".

    The function alone is parsed where its docstring can be found so: parsing whole modules took half of the time of
    ``--help``.
    """
    start = re.search(rf"^(?:async )?def {re.escape(function)}\(", source, re.MULTILINE)
    if start:
        end = re.compile(r"^[^\s)#]", re.MULTILINE).search(source, start.end())
        with contextlib.suppress(SyntaxError):  # such as a docstring with lines that are not indented
            found = _docstring_in(ast.parse(source[start.start() : end.start() if end else None]), function)
            if found:
                return found
    return _docstring_in(ast.parse(source), function)


def _docstring_in(tree: ast.Module, function: str) -> str:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    named = [node for node in functions if node.name == function]
    return next(filter(None, (ast.get_docstring(node) for node in [*named, tree])), "")


def _spec(module: str) -> ModuleSpec | None:
    """Find a module as import would, without executing its parent packages."""
    spec: ModuleSpec | None = None
    path = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        spec = next(filter(None, (finder.find_spec(name, path) for finder in sys.meta_path)), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec
