"""Config fields: how one is defined, what it accepts, and which kinds of fields there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from attrs import field

from core.config.rules import Rule


def _normalised(rule: Rule) -> Callable[[object], object]:
    """Return a converter that keeps a refused value unchanged, so that all faults can be reported together."""

    def convert(value: object) -> object:
        try:
            return rule.check(value)
        except ValueError:
            return value

    return convert


def option(default: Any, *, help: str, rule: Rule, cli: bool = True, evaluation: bool = False) -> Any:
    """Define one config field.

    Args:
        default: The value, or an ``attrs.Factory``.
        help: One line for ``--help``, with the unit.
        rule: What the field accepts.
        cli: Whether the command line offers the field; False for fields that the trainer sets.
        evaluation: Whether the field changes only evaluations and sample images, not the trained model. Such a field is
            an option of ``pyml-eval`` too, and may change when a run is resumed.
    """
    return field(
        default=default,
        converter=_normalised(rule),
        metadata={"help": help, "rule": rule, "cli": cli, "evaluation": evaluation},
    )


def rule_of(attribute: attrs.Attribute[Any]) -> Rule:
    """Return a config field's rule; TypeError for a field that was not made by ``option``."""
    rule = attribute.metadata.get("rule")
    if not isinstance(rule, Rule):
        raise TypeError(f"config field {attribute.name!r} has no rule; define it with core.config.option(...)")
    return rule


def evaluation_fields(cls: type[Any]) -> list[str]:
    """Return the names of the config fields that change only evaluations and sample images."""
    return [attribute.name for attribute in attrs.fields(cls) if attribute.metadata.get("evaluation")]


def found_fields(cls: type[Any]) -> list[str]:
    """Return the names of the config fields that only training sets, from what it finds in the data.

    Args:
        cls: The config class.
    """
    return [attribute.name for attribute in attrs.fields(cls) if not attribute.metadata.get("cli", True)]


def describe_fault(where: str, value: object, rule: Rule, *, is_text: bool = False) -> str:
    """Return the message for a value that is not accepted: where it stands, what it is, and what is accepted.

    Args:
        where: What was set, such as a field's name or a command-line option.
        value: The value that came.
        rule: The rule that refused it; it says what is accepted.
        is_text: Whether the value came as text, such as from the command line; the message then leaves out its type.
    """
    came = repr(value) if is_text else f"{value!r} ({type(value).__name__})"
    return f"{where}: got {came}; accepted: {rule.accepts}."


def check_fields(config: Any) -> list[str]:
    """Return one message for each field whose value its rule refuses."""
    faults = []
    for attribute in attrs.fields(type(config)):
        value, rule = getattr(config, attribute.name), rule_of(attribute)
        try:
            rule.check(value)
        except ValueError:
            faults.append(describe_fault(attribute.name, value, rule))
    return faults
