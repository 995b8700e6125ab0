"""Errors that a user can correct: what was given, where, what is accepted, and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A configuration, name or argument that cannot be used; the command line prints it and exits with code 2.

    Attributes:
        faults: One message per fault, so that a user can correct all of them at once.
    """

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest known name, or "" where none is close."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def unknown_name(kind: str, name: str, known: Iterable[str], where: str = "") -> ConfigError:
    """Return the error for a name that does not exist; its message lists the valid names and the nearest one.

    Args:
        kind: What the name should have named, such as ``"model"``.
        name: The name that was given.
        known: The valid names.
        where: Where it was given, such as ``"run.toml"``; "" leaves this out.
    """
    names = sorted(known)
    listed = ", ".join(names) if names else "none"
    prefix = f"{where}: " if where else ""
    return ConfigError(f"{prefix}unknown {kind} {name!r}.{nearest(name, names)} Known: {listed}.")


def unknown_key(where: str, key: str, known: Iterable[str]) -> str:
    """Return the fault for a config field that does not exist; it lists the valid fields and the nearest one.

    Args:
        where: Where the field was given, such as ``"run.toml"``.
        key: The name that was given.
        known: The valid names.
    """
    return f"{where}: unknown key {key!r}.{nearest(key, known)} Known keys: {', '.join(sorted(known))}."
