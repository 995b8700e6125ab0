"""Write docs/modules.md, the first sentence of every module: ``python docs/make_modules.py``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import groupby, takewhile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("core", "results", "csrc", "scripts")
HEAD = """# All modules

One line for each module: the first sentence of its docstring. Written by `python docs/make_modules.py`; a test holds it
equal to the code. [CONTRIBUTING](../CONTRIBUTING.md) says what belongs in each folder.
"""


def page() -> str:
    """Return the page in Markdown: a section for each folder, a line for each module."""
    text = HEAD
    for folder, paths in groupby(modules(), lambda path: path.parent.relative_to(ROOT).as_posix()):
        text += f"\n## {'the top level' if folder == '.' else folder}\n\n"
        text += "".join(f"- `{path.name}`: {first_sentence(path)}\n" for path in paths)
    return text


def modules() -> Iterator[Path]:
    """Yield all modules and C++ files, folder by folder; packages are described in CONTRIBUTING.md."""
    for folder in FOLDERS:
        found = [path for suffix in ("*.py", "*.hpp", "*.cpp") for path in (ROOT / folder).rglob(suffix)]
        shown = (path for path in found if path.name != "__init__.py" and "tests" not in path.parts)
        yield from sorted(shown, key=lambda path: (path.parent, path.name))
    yield ROOT / "pyml_start.py"


def first_sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring, or of the comment that begins a C++ file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        paragraph = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    else:
        comment = takewhile(lambda line: re.match(r"///? ", line), text.splitlines())
        paragraph = "\n".join(re.sub(r"^///? ", "", line) for line in comment)
    paragraph = " ".join(paragraph.split()).replace("``", "`")
    return re.split(r"(?<=[.?]) (?=[A-Z`])", paragraph)[0]


if __name__ == "__main__":
    (ROOT / "docs" / "modules.md").write_text(page(), encoding="utf-8")
