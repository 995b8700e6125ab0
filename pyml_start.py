"""Start the console scripts, and say in one line why they cannot: Python is too old, a package is missing, or another
``core`` or ``results`` hides the packages of pyml-core.

This module lies outside ``core``, so that it is found even when a file or folder of the user's is imported as ``core``.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import NoReturn

HOME = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)


def hidden_by(package: str) -> Path | None:
    """Return the file or folder that is imported in place of our package of that name; None if ours is found."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
    found = [Path(place).resolve() for place in places]
    ours = HOME / package
    return None if any(ours == path or ours in path.parents for path in found) else next(iter(found), None)


def _start(script: str, function: str) -> NoReturn:
    """Call a function of ``core.cli`` if everything that it needs is found."""
    if sys.version_info < OLDEST_PYTHON:  # in a clone, where pip has not checked it
        sys.exit(
            f"{script}: pyml-core needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})."
        )
    for package in ("core", "results"):
        other = hidden_by(package)
        if other is not None:
            sys.exit(
                f"{script}: {other} hides the package {package!r} of pyml-core, which is in {HOME / package}. "
                "Rename yours, start from another directory, or remove its directory from PYTHONPATH."
            )
    try:
        from core import cli
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("core", "results"):
            raise
        is_clone = (HOME / "pyproject.toml").exists()
        remedy = f"Try: {sys.executable} -m pip install -e {HOME}" if is_clone else "Install pyml-core again."
        sys.exit(f"{script}: pyml-core needs {error.name}, which is not installed for this Python. {remedy}")
    sys.exit(getattr(cli, function)())


def python_m_core() -> NoReturn:
    """Run ``python -m core``."""
    _start("python -m core", "main")


def pyml() -> NoReturn:
    """Run ``pyml``, which is ``python -m core``."""
    _start("pyml", "pyml_main")


def pyml_train() -> NoReturn:
    """Run ``pyml-train``."""
    _start("pyml-train", "train_main")


def pyml_eval() -> NoReturn:
    """Run ``pyml-eval``."""
    _start("pyml-eval", "eval_main")


def pyml_sample() -> NoReturn:
    """Run ``pyml-sample``."""
    _start("pyml-sample", "sample_main")
