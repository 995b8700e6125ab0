"""The progress bar on a terminal: what else is printed there gets lines of its own."""

import contextlib
import os
import pty
import re
import sys

import pytest

from core.commands.progress_bar import reporting
from core.utils.output import messages_to, say


def test_lines_stand_above_a_bar_and_below_a_full_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(sys, "__stderr__", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with messages_to("stderr"), reporting() as progress:
            progress(1, 2, "half")
            say("a warning")
            progress(2, 2, "all")
            say("loss: 0.25")
    written = b""
    with contextlib.suppress(OSError):  # Linux ends the reading of a terminal that was closed with an error
        while piece := os.read(reader, 4096):
            written += piece
    os.close(reader)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode()).replace("\r", "\n").splitlines()
    assert "a warning" in shown
    assert shown.index("loss: 0.25") > max(i for i, line in enumerate(shown) if "2/2" in line)
