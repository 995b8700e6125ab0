"""A config from its layers: defaults < file < command line, every fault reported at once."""

from __future__ import annotations

import json
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import frozen

from core.config.config import describe_fault, rule_of
from core.config.errors import ConfigError, nearest

Config = TypeVar("Config", bound=attrs.AttrsInstance)

CONFIG_SCHEMA = "pyml.config/1"
GLOBAL_TABLE = "global"


@frozen
class Layer:
    """Values from one source; ``is_text`` says that they are command-line text, still to be parsed."""

    source: str
    values: Mapping[str, Any]
    is_text: bool = False

    def where(self, name: str) -> str:
        """Name a field the way its source spells it: ``run.toml: seed`` or ``--seed``."""
        return f"--{name.replace('_', '-')}" if self.is_text else f"{self.source}: {name}"


def read_config_file(path: Path) -> tuple[Layer, Layer]:
    """Read a TOML or JSON file: the run's fields at the top level, those of GlobalConfig in a table ``global``.

    A run's own config.json is accepted too, so that a run can be repeated from it.

    Returns:
        The layer for the run's config and the layer for GlobalConfig.

    Raises:
        ConfigError: The file is missing, unreadable, not TOML or JSON, or not a table.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a config file: {error}.") from None
    if path.suffix not in {".toml", ".json"}:
        raise ConfigError(f"{path}: got a file named {path.suffix or 'without suffix'}; accepted: .toml or .json.")
    try:
        table = tomllib.loads(content) if path.suffix == ".toml" else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid {path.suffix[1:].upper()}: {error}.") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: got a {type(table).__name__}; accepted: a table of fields.")
    if table.get("schema") == CONFIG_SCHEMA:
        table = _asked_for(table, path)
    everywhere = table.pop(GLOBAL_TABLE, {})
    if not isinstance(everywhere, dict):
        raise ConfigError(f"{path}: {GLOBAL_TABLE}: got a {type(everywhere).__name__}; accepted: a table of fields.")
    return Layer(str(path), table), Layer(f"{path}: {GLOBAL_TABLE}", everywhere)


@frozen
class SavedConfig:
    """The config of a run as its config.json holds it, before the model's own class is known."""

    path: Path
    values: Mapping[str, Any]

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.values.get("model"))

    def build(self, cls: type[Config]) -> Config:
        """Build the config; fields that this version does not know are ignored, and said so once each."""
        known = {a.name: rule_of(a) for a in attrs.fields(cls)}
        unknown = sorted(set(self.values) - set(known))
        if unknown:
            warnings.warn(f"{self.path}: ignoring unknown fields: {', '.join(unknown)}", stacklevel=2)
        faults = []
        for name in set(self.values) & set(known):
            try:
                known[name].check(self.values[name])
            except ValueError:
                faults.append(describe_fault(f"{self.path}: {name}", self.values[name], known[name]))
        if faults:
            raise ConfigError(*sorted(faults))
        return cls(**{name: value for name, value in self.values.items() if name in known})


def read_saved_config(path: Path) -> SavedConfig:
    """Read a run's config.json.

    Raises:
        ConfigError: It is missing, unreadable or not a run's config.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a run's config: {error}.") from None
    is_ours = isinstance(content, dict) and content.get("schema") == CONFIG_SCHEMA
    config = content.get("config") if is_ours else None
    if not isinstance(config, dict) or not isinstance(config.get("model"), str):
        raise ConfigError(f"{path}: not a run's config; accepted: JSON of schema {CONFIG_SCHEMA!r} naming a model.")
    return SavedConfig(path, config)


def _asked_for(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a saved run's fields without those that its trainer found in the data."""
    saved, found = content.get("config"), content.get("found_in_data")
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: config: got a {type(saved).__name__}; accepted: a table of fields.")
    left_out = {"data_shape", "n_classes", *(found if isinstance(found, list) else [])}
    return {name: value for name, value in saved.items() if name not in left_out}


def build_config(cls: type[Config], *layers: Layer) -> Config:
    """Build ``cls`` from its defaults and the layers, later ones winning.

    Raises:
        ConfigError: With every fault of every layer: unknown names (with the nearest valid one) and values that
            are not accepted, each with its source, what came and what is accepted.
    """
    known = {a.name: a for a in attrs.fields(cls) if a.metadata.get("cli", True)}
    values: dict[str, Any] = {}
    faults: list[str] = []
    for layer in layers:
        for name, given in layer.values.items():
            if name not in known:
                listed = ", ".join(sorted(known))
                faults.append(f"{layer.source}: unknown key {name!r}.{nearest(name, known)} Known keys: {listed}.")
                continue
            rule = rule_of(known[name])
            try:
                values[name] = rule.check(rule.parse(given) if layer.is_text else given)
            except ValueError:
                faults.append(describe_fault(layer.where(name), given, rule))
    if faults:
        raise ConfigError(*faults)
    return cls(**values)
