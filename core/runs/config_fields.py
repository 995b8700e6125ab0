"""A config of any kind as the plain fields that config.json can hold."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from typing import Any

import attrs

from core.config.errors import ConfigError

ACCEPTED = "a dict, dataclass, attrs class, argparse.Namespace or pydantic model"


def config_fields(config: object) -> dict[str, Any]:
    """Return a config's fields as a dict of plain JSON values, in their order.

    Paths become text; tuples, sets (sorted), arrays and tensors become lists; enumerations become their values. Nested
    configs become nested dicts.

    Args:
        config: A dict, an instance of a dataclass or attrs class, an argparse.Namespace, or a pydantic model.

    Raises:
        TypeError: The config is of another kind.
        ConfigError: A field cannot be saved as JSON; every such field is named.
    """
    fields = _fields_of(config)
    if fields is None:
        raise TypeError(f"config: got {config!r} ({type(config).__name__}); accepted: {ACCEPTED}.")
    faults: list[str] = []
    plain = _plain(fields, "config", faults)
    if faults:
        raise ConfigError(*faults)
    return dict(plain)


def dotted(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a config's fields with nested ones by dotted names: ``{"optimizer.lr": 0.1}``."""
    if dict not in map(type, fields.values()):
        return fields
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if type(value) is dict and value:
            flat |= {f"{name}.{inner}": item for inner, item in dotted(value).items()}
        else:
            flat[name] = value
    return flat


def _fields_of(value: object) -> Mapping[Any, Any] | None:
    """Return the fields of a config or of a config inside it, one level deep; None if it is not a config."""
    if isinstance(value, Mapping):
        return value
    import argparse  # here, because readers of runs need neither, and they cost 15 ms
    import dataclasses

    if isinstance(value, type):
        return None  # the class, where an instance is meant
    if isinstance(value, argparse.Namespace):
        return vars(value)
    if attrs.has(cls := type(value)):
        return {field.name: getattr(value, field.name) for field in attrs.fields(cls)}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(dump := getattr(value, "model_dump", None)):  # pydantic, which need not be installed
        dumped = dump()
        return dumped if isinstance(dumped, Mapping) else None
    return None


def _plain(value: Any, where: str, faults: list[str]) -> Any:
    """Return a value as JSON holds it, and add a message to ``faults`` for each part that JSON cannot hold."""
    if value is None or type(value) in {bool, int, float, str}:
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, where, faults)
    if isinstance(value, str | os.PathLike):
        return str(value)
    if (fields := _fields_of(value)) is not None:
        return {str(name): _plain(item, f"{where}.{name}", faults) for name, item in _named(fields, where, faults)}
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]", faults) for index, item in enumerate(value)]
    if callable(to_list := getattr(value, "tolist", None)):  # NumPy and torch: scalars become numbers
        listed = to_list()
        if type(listed) is not type(value):  # a longdouble stays one
            return _plain(listed, where, faults)
    faults.append(
        f"{where}: got {value!r} ({type(value).__name__}), which JSON cannot hold; accepted: numbers, text, bool, "
        "None, paths, and lists and dicts of them. Try its name as text, or leave the field out."
    )
    return None


def _named(fields: Mapping[Any, Any], where: str, faults: list[str]) -> list[tuple[str, Any]]:
    named = []
    for name, item in fields.items():
        if isinstance(name, str) and name:
            named.append((name, item))
        else:
            faults.append(f"{where}: got the field name {name!r} ({type(name).__name__}); accepted: a non-empty text.")
    return named
