"""Build a config from its layers: defaults, then a file, then the command line; report all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs
from attrs import frozen

from core.config.config import GlobalConfig
from core.config.errors import ConfigError, unknown_key
from core.config.fields import describe_fault, rule_of

Config = TypeVar("Config", bound=attrs.AttrsInstance)

MACHINE_SETTINGS = frozenset(field.name for field in attrs.fields(GlobalConfig))


@frozen
class Layer:
    """Values from one source.

    Attributes:
        source: What messages call it.
        values: The values by field.
        is_text: Whether they are command-line text, which must still be parsed.
        is_complete: Whether a field that is missing has its default: a saved config that an older version wrote.
    """

    source: str
    values: Mapping[str, Any]
    is_text: bool = False
    is_complete: bool = False

    def where(self, name: str) -> str:
        """Return a field's name as its source writes it: ``run.toml: seed`` or ``--seed``."""
        return f"--{name.replace('_', '-')}" if self.is_text else f"{self.source}: {name}"


def build_config(cls: type[Config], *layers: Layer) -> Config:
    """Build ``cls`` from its defaults and the layers; a later layer overrides an earlier one.

    Raises:
        ConfigError: An unknown name or a value that is not accepted. The error holds every fault of every layer,
            each with its source and what is accepted.
    """
    known = {a.name: a for a in attrs.fields(cls) if a.metadata.get("cli", True)}
    values: dict[str, Any] = {}
    faults: list[str] = []
    for layer in layers:
        for name, given in layer.values.items():
            if name not in known:
                if name in MACHINE_SETTINGS and not layer.is_text:
                    faults.append(f"{layer.source}: {name} is not a field of a run. Put it into the table [global].")
                else:
                    faults.append(unknown_key(layer.source, name, known))
                continue
            rule = rule_of(known[name])
            try:
                values[name] = rule.check(rule.parse(given) if layer.is_text else given)
            except ValueError:
                faults.append(describe_fault(layer.where(name), given, rule, is_text=layer.is_text))
    if faults:
        raise ConfigError(*faults)
    return cls(**values)
