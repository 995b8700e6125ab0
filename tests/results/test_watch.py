"""runs --watch: drawn again and again, ended by Ctrl-C."""

import sys

import pytest

from core.config import ConfigError
from core.utils.output import CLEAR
from results.watch import redraw


class StoppedError(Exception):
    """What a test raises instead of waiting."""


def test_the_text_is_drawn_anew_until_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    texts, pauses = iter(["first", "second"]), []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    redraw(lambda _n_lines: next(texts), pause)
    out = capsys.readouterr().out
    assert [part.partition("\n")[0] for part in out.split(CLEAR)] == ["", "first", "second"]
    assert out.endswith("\n")
    assert min(pauses) >= 2


def test_an_error_while_drawing_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    def fail(_n_lines: int) -> str:
        raise StoppedError

    with pytest.raises(StoppedError):
        redraw(fail)


def test_watching_needs_a_terminal() -> None:
    with pytest.raises(ConfigError, match=r"--watch: the output is not a terminal"):
        redraw(lambda _n_lines: "")
