"""Find models, configs, data sets, evaluators and commands through entry points; listing them imports nothing."""

from __future__ import annotations

import functools
import importlib.metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.config.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from core.config.config import ModelConfig

MODELS, CONFIGS, DATASETS, EVALUATORS, COMMANDS = GROUPS = (
    "pyml.models",
    "pyml.configs",
    "pyml.datasets",
    "pyml.evaluators",
    "pyml.commands",
)
KIND = {MODELS: "model", CONFIGS: "config", DATASETS: "data set", EVALUATORS: "evaluator", COMMANDS: "command"}
OURS = "pyml-core"
RESERVED = {"config", "debug", "device", "dry_run", "experiments_dir", "help", "resume"}


class PluginError(RuntimeError):
    """A plugin that exists but cannot be used; the message names its distribution and the reason."""


class Plugin(NamedTuple):
    """One registered entry point. Only ``load`` imports its module."""

    group: str
    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    def describe(self) -> dict[str, str]:
        """Return what config.json says about a plugin that a run used."""
        return {"name": self.name, "distribution": self.distribution, "version": self.version}

    def load(self) -> Any:
        """Import the plugin and return what it registered.

        Raises:
            PluginError: The import failed; the message holds the exception that it raised.
        """
        try:
            loaded = self.entry_point.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{KIND[self.group]} {self.name!r} of {self.distribution} {self.version} cannot be imported from "
                f"{self.entry_point.value}: {type(error).__name__}: {error}"
            ) from error
        if self.group in {MODELS, CONFIGS, EVALUATORS} and not isinstance(loaded, type):
            raise PluginError(
                f"{KIND[self.group]} {self.name!r} of {self.distribution} {self.version}: {self.entry_point.value} is "
                f"{loaded!r}; accepted: a class."
            )
        return loaded


@functools.cache
def registered(group: str) -> tuple[Plugin, ...]:
    """Return every plugin of a group, sorted by name. If two have one name, both are in it."""
    plugins = []
    for entry_point in importlib.metadata.entry_points(group=group):
        dist = entry_point.dist
        name, version = (dist.name, dist.version) if dist else ("unknown", "unknown")
        plugins.append(Plugin(group, entry_point.name, name, version, entry_point))
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution)))


def names(group: str) -> list[str]:
    """Return the names of a group, sorted, each once; nothing is imported."""
    return sorted({plugin.name for plugin in registered(group)})


def in_the_box(group: str) -> list[str]:
    """Return the names that ship with this distribution."""
    return [plugin.name for plugin in registered(group) if plugin.distribution == OURS]


def find(group: str, name: str) -> Plugin:
    """Return the one plugin of that name.

    Raises:
        ConfigError: There is none (the nearest valid name is given).
        PluginError: Two packages registered the name (both are named).
    """
    found = [plugin for plugin in registered(group) if plugin.name == name]
    if not found:
        if not names(group):
            raise ConfigError(f"no {KIND[group]} is registered. Is {OURS} installed? Try: pip install -e .")
        raise unknown_name(KIND[group], name, names(group))
    if len(found) > 1:
        owners = " and ".join(f"{plugin.distribution} {plugin.version}" for plugin in found)
        raise PluginError(
            f"{KIND[group]} {name!r} is registered by {owners}; uninstall one, or rename its entry point."
        )
    return found[0]


def load(group: str, name: str) -> Any:
    """Import the plugin of that name and return what it registered. Raises what ``find`` and ``Plugin.load`` raise."""
    return find(group, name).load()


def config_class(model: str) -> type[ModelConfig]:
    """Return the config class that a model registered, else ModelConfig. The model itself is not imported.

    Raises:
        ConfigError: There is no such model.
        PluginError: Its config class cannot be imported, or is not a subclass of ModelConfig.
    """
    import attrs

    from core.config.config import ModelConfig

    find(MODELS, model)
    if model not in names(CONFIGS):
        return ModelConfig
    plugin = find(CONFIGS, model)
    cls: type[ModelConfig] = plugin.load()
    if not issubclass(cls, ModelConfig):
        raise PluginError(
            f"config {model!r} of {plugin.distribution}: got {cls!r}; accepted: a subclass of ModelConfig."
        )
    own = set(vars(cls).get("__annotations__", {}))
    if own - {field.name for field in attrs.fields(cls)}:
        raise PluginError(
            f"config {model!r} of {plugin.distribution}: its fields {', '.join(sorted(own))} are not attrs fields; "
            "decorate the class with @attrs.frozen(kw_only=True)."
        )
    reserved = sorted(RESERVED & own)
    if reserved:
        raise PluginError(
            f"config {model!r} of {plugin.distribution}: {', '.join(reserved)}: the command line has an option of "
            "this name. Rename the field."
        )
    return cls


def with_own_fields(config: ModelConfig) -> ModelConfig:
    """Return the config as an instance of its model's own class. A plain ModelConfig gets that class's defaults.

    Raises:
        ConfigError: The config is of another model's class, whose own fields would be lost.
    """
    import attrs

    from core.config.config import ModelConfig

    cls = config_class(config.model)
    if isinstance(config, cls):
        return config
    if type(config) is not ModelConfig:
        raise ConfigError(
            f"model {config.model!r}: got a {type(config).__name__}, the config of another model; accepted: "
            f"{' or '.join(dict.fromkeys([cls.__name__, 'ModelConfig']))}."
        )
    return cls(**{field.name: getattr(config, field.name) for field in attrs.fields(ModelConfig)})


def saved_config(run_path: str | Path) -> ModelConfig:
    """Read a run's config.json back into its model's config class.

    Raises:
        ConfigError: The file is missing or not a run's config; fields that this version does not know are ignored
            with a warning.
        PluginError: The model's plugin is broken.
    """
    from core.runs.config_file import read_saved_config

    saved = read_saved_config(Path(run_path) / "config.json")
    return saved.build(config_class(saved.model))
