"""One condition, such as ``model=un*`` or ``learning_rate in 1e-3,1e-4``: parsed, never evaluated as code."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import evolve, frozen

from core.config.errors import ConfigError, nearest
from core.runs.status import STATES
from results.moments import Seconds, parse_moment, parse_seconds

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SIGN = re.compile(r"\s+not\s+in(?=[\s(\[])\s*|\s+in(?=[\s(\[])\s*|<=|>=|!=|==|=|<|>")
PRESENCE = re.compile(r"\s*(has|no)\s+(\S.*?)\s*")
ACCEPTED = (
    "FIELD=VALUE, or with !=, <, <=, > or >=, such as model=unet or 'learning_rate<1e-3'; FIELD in A,B; no FIELD; "
    "has FIELD"
)
_EQUALITY = {"=", "!=", "in", "not in"}
_ITEM = re.compile(r"""\s*(?:"[^"]*"|'[^']*')\s*(?=,|$)|[^,]+""")
_HEX = re.compile(r"[0-9a-f]{4,40}")
_VERSION = re.compile(r"\d+(\.\d+)*")


class AnyOf(tuple[Any, ...]):
    """Several values of one field of a run, such as its tags: a condition holds if it holds for any of them.

    With ``!=`` and ``not in`` it holds if none is equal.
    """

    __slots__ = ()


@frozen
class Condition:
    """A field, a comparison operator and the wanted value, which stays text until it is compared with a run's value.

    Attributes:
        text: The whole condition as the user wrote it, for messages.
        field: The name of a field, a measure, or a part of the environment.
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in``, ``not in``, ``has`` or ``no``.
        wanted: The text after the operator.
        is_text: Whether the field is text in any run. A number is then compared with a word without an error.
    """

    text: str
    field: str
    operator: str
    wanted: str
    is_text: bool = False

    def holds(self, actual: object) -> bool:
        """Return whether a run's value meets the condition.

        Raises:
            ConfigError: The values cannot be compared, such as a number with a word.
        """
        if self.operator in {"has", "no"}:
            return self.operator == "has"  # a run without the field never comes here
        if self.operator in {"!=", "not in"}:
            return not evolve(self, operator="=" if self.operator == "!=" else "in").holds(actual)
        if isinstance(actual, AnyOf):
            return any(self.holds(item) for item in actual)
        if self.operator == "in":
            return self._is_among(actual)
        if isinstance(actual, datetime):
            return self._date_holds(actual)
        if isinstance(actual, list | tuple):
            return self._list_holds([_plain(item) for item in actual])
        if actual is None or isinstance(actual, bool):
            return self._word_holds(actual)
        if isinstance(actual, int | float):
            return self._number_holds(actual)
        return self._text_holds(str(actual))

    def _is_among(self, actual: object) -> bool:
        if isinstance(actual, list | tuple):
            raise self._refused("is a list", "= or !=, such as {field}=512,512")
        return any(evolve(self, operator="=", wanted=item).holds(actual) for item in self._items())

    def _items(self) -> list[str]:
        items = _separated(self.wanted)
        if not items:
            raise ConfigError(
                f"condition {self.text!r}: 'in' needs values after it, such as {self.field} in A,B or "
                f"{self.field} in (A, B)."
            )
        return items

    def _date_holds(self, actual: datetime) -> bool:
        """Compare with a moment, or with all of a day, month or year."""
        moment = parse_moment(_unquoted(self.wanted))
        if moment is None:
            raise self._refused("is a time", "a UTC date or time, such as 2026-11-01 or 2026-11-01T12:30")
        start, end = moment
        return {
            "=": start <= actual < end or start == actual,
            "<": actual < start,
            "<=": actual < end or actual == start,
            ">": actual >= end and actual != start,
            ">=": actual >= start,
        }[self.operator]

    def _word_holds(self, actual: bool | None) -> bool:
        if self.operator != "=":
            if actual is None:
                return False
            raise self._refused("is true or false", "=, != or in")
        return self.wanted.lower().replace("null", "none") == ("none" if actual is None else str(actual).lower())

    def _list_holds(self, actual: list[object]) -> bool:
        if self.operator != "=":
            raise self._refused("is a list", "= or !=, such as {field}=512,512")
        wanted = [_plain(_literal(item)) for item in _separated(self.wanted)]
        return actual == wanted

    def _number_holds(self, actual: float) -> bool:
        if self.wanted.lower() in {"none", "null"}:
            return False
        wanted = parse_seconds(self.wanted) if isinstance(actual, Seconds) else _literal(self.wanted)
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            if self.is_text and self.operator == "=":
                return False
            unit = ", in seconds or such as 90s, 5min, 2h or 3d" if isinstance(actual, Seconds) else ""
            example = f"{float(actual):.0f}" if isinstance(actual, Seconds) else repr(actual)
            hint = " Patterns with * are for text." if "*" in self.wanted else ""
            raise ConfigError(
                f"condition {self.text!r}: {self.field} is a number (such as {example}{unit}); "
                f"got {self.wanted!r}.{hint}"
            )
        if self.operator == "=" and isinstance(wanted, float) and math.isnan(wanted):  # the runs that diverged
            return isinstance(actual, float) and math.isnan(actual)
        return _COMPARE[self.operator](actual, wanted)

    def _text_holds(self, actual: str) -> bool:
        wanted = _unquoted(self.wanted)
        if self.operator == "=":
            if actual == wanted or (actual in {"true", "false"} and actual == wanted.lower()):
                return True
            if self.field == "git_commit" and _HEX.fullmatch(wanted):
                return actual.startswith(wanted)
            is_pattern = wanted == self.wanted and bool({"*", "?"} & set(wanted))  # in quotes, * is itself
            return is_pattern and _glob(wanted).fullmatch(actual) is not None
        if self.field in {"torch", "python"} and _VERSION.match(actual) and _VERSION.fullmatch(wanted):
            return _COMPARE[self.operator](_version(actual), _version(wanted))
        return _COMPARE[self.operator](actual, wanted)

    def _refused(self, what: str, accepted: str) -> ConfigError:
        return ConfigError(
            f"condition {self.text!r}: {self.field} {what}; compare it with {accepted.format(field=self.field)}."
        )


def parse_condition(text: str) -> list[Condition]:
    """Return every possible reading of a condition, one per operator in the text, from left to right.

    The name of a measure may hold operators, such as ``frechet (n_steps=18)<50``. The caller knows the names and
    takes the reading whose field exists.

    Raises:
        ConfigError: The text holds no condition, or names a status that does not exist (the nearest one is suggested).
    """
    readings = [
        Condition(text, text[: sign.start()].strip(), _operator(sign[0]), text[sign.end() :].strip())
        for sign in SIGN.finditer(text)
        if text[: sign.start()].strip()
    ]
    if presence := PRESENCE.fullmatch(text):
        readings.append(Condition(text, presence[2], presence[1], ""))
    if not readings:
        raise ConfigError(f"condition {text!r}: not a condition; accepted: {ACCEPTED}.")
    _check_status(readings[0])
    return readings


def _operator(sign: str) -> str:
    words = " ".join(sign.split())
    return "=" if words == "==" else words


def _check_status(condition: Condition) -> None:
    if condition.field != "status" or condition.operator not in _EQUALITY:
        return
    is_list = condition.operator in {"in", "not in"}
    for word in _separated(condition.wanted) if is_list else [condition.wanted]:
        wanted = _unquoted(word.strip())
        if wanted not in STATES and not {"*", "?"} & set(wanted):
            raise ConfigError(
                f"condition {condition.text!r}: unknown status {wanted!r}.{nearest(wanted, STATES)} "
                f"Known: {', '.join(STATES)}."
            )


def _glob(pattern: str) -> re.Pattern[str]:
    """Return the expression for a pattern in which * stands for any text and ? for any one character."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)


def _version(text: str) -> tuple[int, ...]:
    match = _VERSION.match(text)
    return tuple(map(int, match[0].split("."))) if match else ()


def _separated(text: str) -> list[str]:
    """Return the items of a list, with or without brackets. A comma in quotes separates nothing."""
    return [item.strip() for item in _ITEM.findall(_without_brackets(text)) if item.strip()]


def _without_brackets(text: str) -> str:
    text = text.strip()
    return text[1:-1] if text[:1] + text[-1:] in {"[]", "()"} else text


def _literal(text: str) -> object:
    """Return the text as a number if it is one, else without its quotes."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return _unquoted(text)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text


def _plain(value: object) -> object:
    """Return nested lists as JSON text, the form in which they are written on a command line."""
    return json.dumps(value) if isinstance(value, list | dict | tuple) else value
