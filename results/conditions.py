"""Conditions such as ``model=unet`` or ``learning_rate<1e-3``: parsed, never evaluated as code."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from typing import Any

from attrs import frozen

from core.config.errors import ConfigError, nearest
from core.runs.status import STATES

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SIGN = re.compile("<=|>=|!=|==|=|<|>")
ACCEPTED = "FIELD=VALUE, or with !=, <, <=, > or >=, such as model=unet or 'learning_rate<1e-3'"


@frozen
class Condition:
    """A field, a comparison operator and the wanted value, which stays text until it is compared with a run's value.

    Attributes:
        text: The whole condition as the user wrote it, for messages.
        field: The name of a config field, a measure, ``id``, ``status`` or a plugin's version.
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        wanted: The text after the operator.
    """

    text: str
    field: str
    operator: str
    wanted: str

    def holds(self, actual: object) -> bool:
        """Return whether a run's value meets the condition.

        Raises:
            ConfigError: The values cannot be compared, such as a number with a word.
        """
        if isinstance(actual, list | tuple):
            return self._list_holds([_plain(item) for item in actual])
        if actual is None or isinstance(actual, bool):
            return self._word_holds("none" if actual is None else str(actual).lower())
        if isinstance(actual, int | float):
            if self.wanted.lower() in {"none", "null"}:
                return self.operator == "!="
            return _COMPARE[self.operator](actual, self._number(actual))
        return _COMPARE[self.operator](str(actual), _unquoted(self.wanted))

    def _word_holds(self, actual: str) -> bool:
        if self.operator not in {"=", "!="}:
            return False  # None and booleans have no order
        wanted = self.wanted.lower().replace("null", "none")
        return _COMPARE[self.operator](actual, wanted)

    def _list_holds(self, actual: list[object]) -> bool:
        if self.operator not in {"=", "!="}:
            raise ConfigError(
                f"--where {self.text!r}: {self.field} is a list; compare it with = or !=, such as {self.field}=512,512."
            )
        inner = self.wanted.strip().removeprefix("[").removesuffix("]").removeprefix("(").removesuffix(")")
        wanted = [_plain(_literal(item.strip())) for item in inner.split(",") if item.strip()]
        return _COMPARE[self.operator](actual, wanted)

    def _number(self, actual: float) -> float:
        wanted = _literal(self.wanted)
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            raise ConfigError(
                f"--where {self.text!r}: {self.field} is a number (such as {actual!r}); got {self.wanted!r}."
            )
        return wanted


def parse_condition(text: str) -> list[Condition]:
    """Return every possible reading of a condition, one per operator in the text, from left to right.

    The name of a measure may hold operators, such as ``frechet (n_steps=18)<50``. The caller knows the names and
    takes the reading whose field exists.

    Raises:
        ConfigError: The text holds no condition, or names a status that does not exist (the nearest one is suggested).
    """
    readings = [
        Condition(text, text[: sign.start()].strip(), "=" if sign[0] == "==" else sign[0], text[sign.end() :].strip())
        for sign in _SIGN.finditer(text)
        if text[: sign.start()].strip()
    ]
    if not readings:
        raise ConfigError(f"--where {text!r}: no condition; accepted: {ACCEPTED}.")
    wanted = _unquoted(readings[0].wanted)
    if readings[0].field == "status" and wanted not in STATES:
        raise ConfigError(
            f"--where {text!r}: unknown status {wanted!r}.{nearest(wanted, STATES)} Known: {', '.join(STATES)}."
        )
    return readings


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
