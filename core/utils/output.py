"""Printing lines safely: a closed pipe, a terminal without some characters, and control characters in the text."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import unicodedata
from collections.abc import Iterator
from contextvars import ContextVar
from typing import IO, Literal

Place = Literal["stdout", "stderr", "nowhere", "silence"]

PIECE_BYTES = 4096  # a pipe that poll calls ready takes this much without blocking (PIPE_BUF)
PATIENCE_S = 1.0
CLEAR = "\x1b[H\x1b[2J"  # cursor to the top left, and clear the screen: every terminal of today understands this

_PLACE: ContextVar[Place] = ContextVar("place of messages", default="stdout")


@contextlib.contextmanager
def messages_to(place: Place) -> Iterator[None]:
    """Send what ``say`` would print to stdout elsewhere while the block runs: to stderr, or nowhere.

    In "silence" it prints nothing to stderr either.
    """
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)


def say(text: str, *, err: bool = False, exact: bool = False) -> None:
    """Print a line to stdout or stderr; ignore a closed pipe and characters that the terminal cannot show.

    A run must not end because nobody reads its output any more. On stderr, a line is dropped if a full pipe or a
    stopped terminal does not accept it within a second: it is about progress, and the work must continue. On stdout,
    where results are printed, this waits for the reader.

    Text that did not come from this program, such as a name in a file, is shown as ``printable_lines`` gives it;
    ``exact`` prints it as it is, for a path that a script reads.
    """
    place = "stderr" if err and _PLACE.get() != "silence" else _PLACE.get()
    stream = sys.stderr if place == "stderr" else sys.stdout
    if place in {"nowhere", "silence"} or stream is None:  # None: closed before Python started, as by 2>&-
        return
    with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
        encoding = getattr(stream, "encoding", None) or "utf-8"
        shown = text if exact else printable_lines(text)
        printed = shown.encode(encoding, "replace").decode(encoding)
        # A progress bar has replaced sys.stderr while it is on the terminal: through it, a line stands above the bar.
        has_bar = stream is not sys.__stderr__ and stream.isatty()
        descriptor = _pipe_of(stream) if place == "stderr" and not has_bar else None
        if descriptor is None:
            print(printed, file=stream, flush=True)
        else:
            stream.flush()
            _write_in_time(descriptor, f"{printed}\n".encode(encoding, "replace"))


def _pipe_of(stream: IO[str]) -> int | None:
    """Return the descriptor of a stream that may block, a pipe or a terminal; None of a file or a stand-in."""
    if not hasattr(select, "poll"):
        return None
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError, AttributeError):
        return None
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) else None


def _write_in_time(descriptor: int, content: bytes) -> None:
    """Write the content, or drop the rest of it if the reader accepts nothing for a second."""
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    for start in range(0, len(content), PIECE_BYTES):
        if not ready.poll(1000 * PATIENCE_S):
            return
        os.write(descriptor, content[start : start + PIECE_BYTES])


def open_standard_streams() -> None:
    """Open the null device for each standard stream that is closed, as by ``2>&-``.

    Otherwise the next file that is opened, such as a checkpoint, would get the number of stderr, and messages of C
    libraries would be written into it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)


def put(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print what a command was asked for. Unlike ``say``, it waits for a slow reader, and a closed pipe is an error.

    Args:
        text: One or more lines; see ``printable_lines``.
        err: Whether to print to stderr.
        end: What follows the text.

    Raises:
        BrokenPipeError: The reader has closed the pipe.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is not None:
        stream.write(f"{printable_lines(text)}{end}")
        stream.flush()


def put_screen(text: str) -> None:
    """Clear the terminal and print a text at its top."""
    stream = sys.stdout
    if stream is not None:
        stream.write(f"{CLEAR}{printable_lines(text)}\n")
        stream.flush()


def printable(text: str) -> str:
    """Return text from a file as one line that cannot control the terminal or change the order of its characters.

    Line ends, control characters (C0 and C1), bidirectional controls and other invisible characters are replaced.
    Spaces of other widths become plain ones.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_lines(text: str, keep: str = "\n\t") -> str:
    """Return text of several lines, each as ``printable`` shows it; line ends, tabs or what ``keep`` names are kept."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c in keep else _shown(c) for c in text)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else "\N{REPLACEMENT CHARACTER}"
