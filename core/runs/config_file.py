"""A run's config.json; a new run may take its fields from it, or from a config file of the user's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import frozen

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.config.fields import describe_fault, found_fields, rule_of
from core.config.load import Layer
from core.config.table_file import read_table
from core.runs.files import Fault, RunFile, read_before_replacing

CONFIG = RunFile("config.json", "pyml.config/1")
GLOBAL_TABLE = "global"

Config = TypeVar("Config", bound=attrs.AttrsInstance)


def save_config_to_json(
    config: ModelConfig,
    run_path: str | Path,
    plugins: Mapping[str, Mapping[str, str]] | None = None,
    found_in_data: Sequence[str] = (),
) -> Path:
    """Write the config.json of a run of ``pyml-train`` and return its path.

    Args:
        config: The run's config; all of its fields are written.
        run_path: The run directory.
        plugins: For "model" and "dataset" the name, distribution and version of the plugin, where there is one.
        found_in_data: Names of fields whose values were found in the data. A new run from this file finds them again.
    """
    return save_config(run_path, attrs.asdict(config), plugins, found_in_data)


def save_config(
    run_path: str | Path,
    config: Mapping[str, Any],
    plugins: Mapping[str, Mapping[str, str]] | None = None,
    found_in_data: Sequence[str] = (),
) -> Path:
    """Write a run's config.json and return its path.

    Args:
        run_path: The run directory.
        config: The config's fields, which JSON can hold.
        plugins: For "model" and "dataset" the name, distribution and version of the plugin, where there is one.
        found_in_data: Names of fields whose values were found in the data. A new run from this file finds them again.
    """
    fields = {"config": dict(config), "plugins": dict(plugins or {})}
    return CONFIG.write(run_path, {**fields, "found_in_data": sorted({*found_in_data, *_found_before(run_path)})})


def read_fields(run_path: str | Path) -> dict[str, Any]:
    """Return the fields of a run's config, which may be that of pyml-train or of one's own loop.

    Raises:
        ConfigError: config.json is missing or cannot be read.
    """
    saved = CONFIG.read(run_path)
    if isinstance(saved, Fault):
        raise ConfigError(f"{saved}.")
    if not isinstance(fields := saved.get("config"), dict):
        raise ConfigError(f"{run_path}/{CONFIG.name}: config: got {fields!r}; accepted: a table of fields.")
    return fields


def _found_before(run_path: str | Path) -> list[str]:
    """Return the names of fields that were found in the data, from the config.json of a run that is continued."""
    found = read_before_replacing(CONFIG, run_path).get("found_in_data")
    return [str(name) for name in found] if isinstance(found, list) else []


def read_config_file(path: str | Path) -> tuple[Layer, Layer]:
    """Read a TOML or JSON file: the run's fields at the top level, those of GlobalConfig in a table ``global``.

    A run's own config.json is accepted too, so that a run can be repeated from it.

    Returns:
        The layer for the run's config and the layer for GlobalConfig.

    Raises:
        ConfigError: The file is missing, unreadable, not TOML or JSON, or not a table.
    """
    table = read_table(Path(path))
    is_of_a_run = table.get("schema") == CONFIG.schema
    if is_of_a_run:
        table = _asked_for(table, Path(path))
    everywhere = table.pop(GLOBAL_TABLE, {})
    if not isinstance(everywhere, dict):
        raise ConfigError(f"{path}: {GLOBAL_TABLE}: got a {type(everywhere).__name__}; accepted: a table of fields.")
    return Layer(str(path), table, is_complete=is_of_a_run), Layer(f"{path}: {GLOBAL_TABLE}", everywhere)


@frozen
class SavedConfig:
    """The config of a run as its config.json holds it, before the model's own class is known.

    Attributes:
        path: The file.
        values: The fields of the config.
        plugins: For "model" and "dataset", the name, distribution and version of the plugin that the run used.
    """

    path: Path
    values: Mapping[str, Any]
    plugins: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.values.get("model"))

    def build(self, cls: type[Config]) -> Config:
        """Build the config. Ignore fields that this version does not know, with a warning."""
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


def read_saved_config(path: str | Path) -> SavedConfig:
    """Read a run's config.json.

    Raises:
        ConfigError: It is missing, unreadable or not a run's config.
    """
    path = Path(path)
    content = RunFile(path.name, CONFIG.schema).read(path.parent)
    if isinstance(content, Fault):
        raise ConfigError(f"{path}: cannot be read as a run's config: it {content.reason}.")
    config = content.get("config")
    if isinstance(config, dict) and "model" not in config:
        raise ConfigError(
            f"{path}: has no field 'model', so it is not a run of pyml-train. To add results to a run of your "
            "own loop, use core.runs.Run.open(path)."
        )
    if not isinstance(config, dict) or not isinstance(config.get("model"), str):
        raise ConfigError(f"{path}: not a run's config; accepted: JSON of schema {CONFIG.schema!r} naming a model.")
    plugins = content.get("plugins")
    return SavedConfig(path, config, plugins if isinstance(plugins, dict) else {})


def _asked_for(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the fields of a saved run without those whose values were found in the data."""
    saved, found = content.get("config"), content.get("found_in_data")
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: config: got a {type(saved).__name__}; accepted: a table of fields.")
    left_out = {*found_fields(ModelConfig), *(found if isinstance(found, list) else [])}
    return {name: value for name, value in saved.items() if name not in left_out}
