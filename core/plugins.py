"""Plugins that a run's config names: its model, data set and config class. ``core.registry`` finds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.config.errors import ConfigError
from core.registry import COMMANDS as COMMANDS
from core.registry import CONFIGS as CONFIGS
from core.registry import DATASETS as DATASETS
from core.registry import EVALUATORS as EVALUATORS
from core.registry import FEATURES as FEATURES
from core.registry import GROUPS as GROUPS
from core.registry import KIND as KIND
from core.registry import MODELS as MODELS
from core.registry import OURS as OURS
from core.registry import TRACKERS as TRACKERS
from core.registry import NotInstalledError as NotInstalledError
from core.registry import Plugin as Plugin
from core.registry import PluginError as PluginError
from core.registry import find as find
from core.registry import in_the_box as in_the_box
from core.registry import load as load
from core.registry import named_in_errors as named_in_errors
from core.registry import names as names
from core.registry import registered as registered

if TYPE_CHECKING:
    from core.config.config import ModelConfig
    from core.runs.config_file import SavedConfig

FOLDER = "folder"  #: The built-in data set that reads ``data_dir``.


def config_class(model: str) -> type[ModelConfig]:
    """Return the config class that a model registered, else ModelConfig. The model itself is not imported.

    Raises:
        ConfigError: There is no such model.
        PluginError: Its config class cannot be imported, or is not a subclass of ModelConfig.
    """
    from core.config.config import ModelConfig

    find(MODELS, model)
    if model not in names(CONFIGS):
        return ModelConfig
    cls: type[ModelConfig] = load(CONFIGS, model)
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


def check_data(config: ModelConfig) -> None:
    """Check the data set of a new run and its ``data_dir`` without reading the data; nothing is imported.

    Raises:
        ConfigError: There is no such data set; it is ``folder``, and ``data_dir`` is no directory; or ``data_dir`` is
            given to another built-in data set, which would ignore it. A plugin's data set may read it.
        PluginError: Two packages registered the data set.
    """
    plugin, given = find(DATASETS, config.dataset), config.data_dir
    if config.dataset == FOLDER:
        if given is None:
            raise ConfigError(f"data set {FOLDER!r}: data_dir is not given. Try: --data-dir DIRECTORY.")
        if not Path(given).expanduser().is_dir():
            raise ConfigError(f"data_dir: {given} is not a directory.")
    elif given is not None and plugin.distribution == OURS:
        raise ConfigError(
            f"data_dir: got {given!r}, but data set {config.dataset!r} reads no directory. "
            f"Leave data_dir out, or try: --dataset {FOLDER}."
        )


def saved_config(run_path: str | Path) -> ModelConfig:
    """Read a run's config.json back into its model's config class.

    Raises:
        ConfigError: The file is missing or not a run's config, or the run's model or data set is not installed (the
            distribution that provided it is named). Fields that this version does not know are ignored with a warning.
        PluginError: The model's plugin is broken.
    """
    from core.runs.config_file import CONFIG, read_saved_config

    saved = read_saved_config(Path(run_path) / CONFIG.name)
    check_installed(saved)
    return saved.build(config_class(saved.model))


def check_installed(saved: SavedConfig) -> None:
    """Raise ConfigError if a run's model or data set is not installed; it names the distribution that provided it.

    A run of one's own loop names no plugin; the error then says how to add results to it.
    """
    for kind, group in {"model": MODELS, "dataset": DATASETS}.items():
        name, served = saved.values.get(kind), saved.plugins.get(kind)
        if isinstance(served, Mapping) and served.get("name") == name and name not in names(group):
            owner, version = served.get("distribution"), served.get("version")
            raise ConfigError(
                f"{saved.path}: {KIND[group]} {name!r} is not installed; this run used it from {owner} {version}. "
                f"Try: pip install {owner}=={version}"
            )
    if "model" not in saved.plugins and saved.values["model"] not in names(MODELS):
        raise ConfigError(
            f"{saved.path}: {saved.values['model']!r} is not a model of pyml-train, so this seems to be a run of your "
            "own loop. To add results to it, use core.runs.Run.open(path); to continue it, Run.resume(path)."
        )
