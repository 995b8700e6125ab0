"""Locks that a forked process finds unlocked, whatever the threads of its parent held."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def new_lock() -> threading.RLock:
    """Return a lock for state that is consistent whenever the GIL changes hands.

    A forked process has only the thread that forked. A lock that another thread held would stay locked there for ever.
    """
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def _unlock_after_fork() -> None:
    for lock in list(_locks):
        if not lock._is_owned():  # the thread that forked goes on, and will release its own
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)
