"""The one-line summaries of commands are read from their source, which is not imported."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from core.commands.summary import summary_of
from core.plugins import COMMANDS, Plugin

SOURCES = {
    "plain": ('"""Module."""\n@command()\ndef f(a: int = 1) -> None:\n    """Do it.\n\n    More.\n    """\n', "Do it."),
    "several lines": ('def f(\n    a: int,\n) -> None:\n    """Do it."""\n\n\ndef g():\n    """No."""\n', "Do it."),
    "async": ('async def f():\n    """Do it."""\n', "Do it."),
    "docstring that is not indented": ('def f():\n    """Do\nit."""\n    return 1\n\nx = 2\n', "Do"),
    "comment in between": ('def f():\n# a comment\n    """Do it."""\n', "Do it."),
    "no docstring": ('"""Module."""\n\ndef f():\n    return 1\n', "Module."),
    "longer name": ('def f_not():\n    """No."""\n\ndef f():\n    """Do it."""\n', "Do it."),
    "inside a string": ('TEXT = """\ndef f():\n    pass\n"""\n\ndef f():\n    """Do it."""\n', "Do it."),
    "made by a call": ('"""Module."""\nf = make()\n', "Module."),
    "not Python": ("def f(:\n", ""),
}


@pytest.mark.parametrize("case", SOURCES)
def test_the_summary_is_the_first_line_of_the_docstring(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, expected = SOURCES[case]
    (tmp_path / "commands_of_a_stranger.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    entry_point = EntryPoint("f", "commands_of_a_stranger:f", COMMANDS)
    assert summary_of(Plugin(COMMANDS, "f", "pyml-core", "1.0", entry_point)) == expected
