"""Start the console scripts, and say clearly when another ``core`` or ``results`` hides the packages of pyml-core.

This module lies outside ``core``, so that it is found even when a file or folder of the user's is imported as ``core``.
"""

import importlib.util
import sys
from pathlib import Path
from typing import NoReturn

HOME = Path(__file__).resolve().parent


def hidden_by(package: str) -> Path | None:
    """Return the file or folder that is imported in place of our package of that name; None if ours is found."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
    found = [Path(place).resolve() for place in places]
    ours = HOME / package
    return None if any(ours == path or ours in path.parents for path in found) else next(iter(found), None)


def _check(script: str) -> None:
    for package in ("core", "results"):
        other = hidden_by(package)
        if other is not None:
            sys.exit(
                f"{script}: {other} hides the package {package!r} of pyml-core, which is in {HOME / package}. "
                "Rename yours, start from another directory, or remove its directory from PYTHONPATH."
            )


def python_m_core() -> NoReturn:
    """Run ``python -m core``."""
    _check("python -m core")
    from core.cli import main

    main()


def pyml() -> NoReturn:
    """Run ``pyml``, which is ``python -m core``."""
    _check("pyml")
    from core.cli import pyml_main

    pyml_main()


def pyml_train() -> NoReturn:
    """Run ``pyml-train``."""
    _check("pyml-train")
    from core.cli import train_main

    train_main()


def pyml_eval() -> NoReturn:
    """Run ``pyml-eval``."""
    _check("pyml-eval")
    from core.cli import eval_main

    eval_main()


def pyml_sample() -> NoReturn:
    """Run ``pyml-sample``."""
    _check("pyml-sample")
    from core.cli import sample_main

    sample_main()
