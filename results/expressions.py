"""Conditions joined by "and", commas and "or": which parts a text has."""

from __future__ import annotations

import re

from core.config.errors import ConfigError
from results.conditions import PRESENCE, SIGN, Condition, parse_condition

_HIDDEN = re.compile(r"""(?<=[=<>,(\s])(["']).*?\1|\([^()]*\)|\[[^\[\]]*\]""")
_OR = re.compile(r"\s+or\s+")
_AND = re.compile(r",\s*|\s+and\s+")
_DANGLING = re.compile(r"^\s*(or|and)(?=\s)|[^\s=<>]\s+(or|and)\s*$")  # in "model = or" it is the value
_ANY = re.compile(f"{_OR.pattern}|{_AND.pattern}")

Alternatives = list[list[list[Condition]]]


def parse_expression(text: str) -> Alternatives:
    """Return the alternatives of a text, each a list of conditions, each with all its readings.

    "or" separates alternatives; a comma and "and" separate conditions that must all hold. Separators in quotes or
    brackets count as text, and so do those that are not followed by a condition, such as in ``seed in 1, 2``.

    Raises:
        ConfigError: A part is no condition.
    """
    if found := _DANGLING.search(_HIDDEN.sub(lambda match: "x" * len(match[0]), text)):
        word = found[1] or found[2]
        raise ConfigError(
            f"condition {text!r}: {word!r} joins two conditions, such as model=mlp {word} seed=0; here is one only. "
            "In a value, put it in quotes."
        )
    alternatives = _split(text, _OR)
    return [[parse_condition(part) for part in _split(alternative, _AND)] for alternative in alternatives]


def is_condition(text: str) -> bool:
    """Return whether a text is a condition, such as ``model=unet`` or ``no dropout``, and not the name of a run."""
    return bool(SIGN.search(text) or PRESENCE.fullmatch(text))


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    hidden = _HIDDEN.sub(lambda match: "x" * len(match[0]), text)
    parts: list[str] = []
    start = 0
    for match in [*separator.finditer(hidden), None]:
        end = len(text) if match is None else match.start()
        following = _condition_follows(text[match.end() :]) if match else True
        if following:
            parts.append(text[start:end])
            start = match.end() if match else end
    return parts


def _condition_follows(rest: str) -> bool:
    """Return whether the text up to the next separator is a condition."""
    hidden = _HIDDEN.sub(lambda match: "x" * len(match[0]), rest)
    following = _ANY.search(hidden)
    return is_condition(rest[: following.start()] if following else rest)
