"""Draw a text again and again on a terminal, until Ctrl-C."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from core.config.errors import ConfigError
from core.utils.output import put, put_screen

EVERY_S = 2.0
REST = 4  # at least this many times as long as drawing took: reading 100,000 runs must not keep a core busy


def redraw(draw: Callable[[int], str], pause: Callable[[float], None] = time.sleep) -> None:
    """Write what ``draw`` returns to the terminal every few seconds, until Ctrl-C.

    Args:
        draw: Takes the number of lines of the terminal and returns the text.
        pause: Waits for so many seconds.

    Raises:
        ConfigError: Standard output is not a terminal.
    """
    if not sys.stdout.isatty():
        raise ConfigError("--watch: the output is not a terminal. Without --watch the list is printed once.")
    try:
        while True:
            begun = time.monotonic()
            text = draw(shutil.get_terminal_size().lines)
            put_screen(f"{text}\n\nCtrl-C to stop.")
            pause(max(EVERY_S, REST * (time.monotonic() - begun)))
    except KeyboardInterrupt:
        put("")
