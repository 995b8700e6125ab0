"""Names of measures."""

from __future__ import annotations


def plain_name(name: object) -> str:
    """Return a name as a plain str with the same characters.

    A subclass of str may hash, compare and print in its own way: ``str()`` of a ``(str, Enum)`` member is
    ``"Class.MEMBER"``.

    Raises:
        TypeError: ``name`` is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"{name!r}: got a measure name of type {type(name).__name__}; accepted: str")
    # Not str(name), which calls the __str__ of the subclass.
    return str.__str__(name)
