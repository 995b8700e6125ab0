"""Words for whoever is watching: if nobody listens any more, or in an alphabet that lacks a sign, the work goes on."""

from __future__ import annotations

import contextlib
import sys


def say(text: str, *, err: bool = False) -> None:
    """Print a line to stdout or stderr; a closed pipe or a lost terminal is no reason for a run to end."""
    stream = sys.stderr if err else sys.stdout
    with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)
