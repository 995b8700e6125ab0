"""Printing lines safely: a closed pipe, a terminal without some characters, and control characters in the text."""

from __future__ import annotations

import contextlib
import sys


def say(text: str, *, err: bool = False) -> None:
    """Print a line to stdout or stderr; ignore a closed pipe and characters that the terminal cannot show.

    A run must not end because nobody reads its output any more.
    """
    stream = sys.stderr if err else sys.stdout
    with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)


def printable(text: str) -> str:
    """Replace control characters, line ends among them, so that text from a file cannot control the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
