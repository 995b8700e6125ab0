"""The callback by which long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

#: Called as ``progress(done, total, text)``: units of work done, units in all, and a short text to show beside them.
Progress = Callable[[int, int, str], None]


def silent(_done: int, _total: int, _text: str) -> None:
    """Report nothing."""
