"""What a config field accepts: one rule for Python values, values of a file and command-line text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

NAMES = "NAME,..."  # metavar of an option that may be repeated


@frozen
class Rule:
    """The values that one field accepts.

    Attributes:
        accepts: What is accepted, in words, for error messages: "an integer, at least 1".
        metavar: The placeholder that ``--help`` shows.
        check: Returns the normalised value; raises ``ValueError`` if the value is not accepted.
        parse: Turns command-line text into a value for ``check``; may raise ``ValueError``.
    """

    accepts: str
    metavar: str
    check: Callable[[object], object]
    parse: Callable[[str], object]


def _bounds(minimum: float | None, maximum: float | None, above: float | None) -> str:
    words = []
    if minimum is not None:
        words.append(f"at least {minimum}")
    if above is not None:
        words.append(f"greater than {above}")
    if maximum is not None:
        words.append(f"at most {maximum}")
    return f", {' and '.join(words)}" if words else ""


def _within(value: float, minimum: float | None, maximum: float | None, above: float | None) -> bool:
    return not (
        (minimum is not None and value < minimum)
        or (above is not None and value <= above)
        or (maximum is not None and value > maximum)
    )


def integer(minimum: int | None = None, maximum: int | None = None) -> Rule:
    """Accept an int (no bool, no float) within the bounds, both included."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not _within(value, minimum, maximum, None):
            raise ValueError
        return value

    return Rule("an integer" + _bounds(minimum, maximum, None), "INTEGER", check, int)


def number(minimum: float | None = None, maximum: float | None = None, above: float | None = None) -> Rule:
    """Accept a finite int or float within the bounds; ``above`` excludes its own value."""

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        try:
            as_float = float(value)
        except OverflowError:
            raise ValueError from None
        if not math.isfinite(as_float) or not _within(as_float, minimum, maximum, above):
            raise ValueError
        return as_float

    return Rule("a finite number" + _bounds(minimum, maximum, above), "NUMBER", check, float)


def integers(minimum: int, *, may_be_empty: bool = False) -> Rule:
    """Accept a list or tuple of ints, each at least ``minimum``; on the command line "256,256"."""
    one = integer(minimum)

    def check(value: object) -> tuple[object, ...]:
        if not isinstance(value, list | tuple) or not (value or may_be_empty):
            raise ValueError
        return tuple(one.check(item) for item in value)

    def parse(text: str) -> list[int]:
        return [int(part) for part in text.split(",")] if text.strip() else []

    size = "any number of" if may_be_empty else "one or more"
    return Rule(f"a list of {size} integers, each at least {minimum}", "INTEGER,...", check, parse)


def one_or_more_integers(minimum: int) -> Rule:
    """Accept an int, or several different ones, each at least ``minimum``; on the command line "100" or "100,200".

    A list of one becomes the int itself.
    """
    one, several = integer(minimum), integers(minimum)

    def check(value: object) -> object:
        found = [one.check(item) for item in (value if isinstance(value, list | tuple) else [value])]
        if not found or len(set(found)) < len(found):
            raise ValueError
        return tuple(found) if len(found) > 1 else found[0]

    return Rule(f"one or more different integers, each at least {minimum}", several.metavar, check, several.parse)


def text() -> Rule:
    """Accept a non-empty string."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError
        return value

    return Rule("a non-empty text", "TEXT", check, str)


def names() -> Rule:
    """Accept a list or tuple of non-empty texts without commas; on the command line "a,b", or "none" for no name."""

    def check(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError
        if not all(isinstance(item, str) and item.strip() and "," not in item for item in value):
            raise ValueError
        return tuple(str(item).strip() for item in value)

    def parse(given: str) -> list[str]:
        return [] if given.strip().lower() == "none" else given.split(",")

    return Rule("names, separated by commas, or none", NAMES, check, parse)


def device() -> Rule:
    """Accept the name of a device. Whether the device exists is checked when it is used."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError
        return value

    return Rule("auto, cpu, cuda or cuda:N", "DEVICE", check, str)


def choice(*names: str) -> Rule:
    """Accept one of the names."""

    def check(value: object) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return Rule("one of " + ", ".join(repr(name) for name in names), "|".join(names), check, str)


def boolean() -> Rule:
    """Accept True or False; on the command line a pair of flags, --x and --no-x."""

    def check(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    def parse(given: str) -> bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if given.lower() not in words:
            raise ValueError
        return words[given.lower()]

    return Rule("true or false", "BOOLEAN", check, parse)


def path() -> Rule:
    """Accept a path or a non-empty string that names one; a leading ~ becomes the home directory."""

    def check(value: object) -> Path:
        if not isinstance(value, str | Path) or not str(value).strip():
            raise ValueError
        try:
            return Path(value).expanduser()
        except RuntimeError:  # ~nobody
            raise ValueError from None

    return Rule("a path", "PATH", check, str)


def optional(rule: Rule) -> Rule:
    """Accept what ``rule`` accepts, or None (null in JSON, left out in TOML, "none" on the command line)."""

    def check(value: object) -> object:
        return None if value is None else rule.check(value)

    def parse(given: str) -> object:
        return None if given.lower() == "none" else rule.parse(given)

    return Rule(f"{rule.accepts}, or none", rule.metavar, check, parse)
