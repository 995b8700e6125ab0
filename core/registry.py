"""Find models, configs, data sets, evaluators, commands and trackers through entry points; listing imports nothing."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import warnings
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint
from typing import TYPE_CHECKING, Any, NamedTuple

from core.config.errors import ConfigError, unknown_name
from core.plugin_groups import COMMANDS as COMMANDS
from core.plugin_groups import CONFIGS as CONFIGS
from core.plugin_groups import DATASETS as DATASETS
from core.plugin_groups import EVALUATORS as EVALUATORS
from core.plugin_groups import FEATURES as FEATURES
from core.plugin_groups import GROUPS as GROUPS
from core.plugin_groups import KIND as KIND
from core.plugin_groups import MODELS as MODELS
from core.plugin_groups import TRACKER_METHODS as TRACKER_METHODS
from core.plugin_groups import TRACKERS as TRACKERS
from core.plugin_groups import why_refused
from pyml_start import hidden_by

if TYPE_CHECKING:
    from core.config.config import ModelConfig

OURS = "pyml-core"
RESERVED = {
    *{"config", "debug", "device", "dry_run", "experiments_dir", "force", "help", "print_run", "quiet", "resume"},
    *{"n_workers", "run_id", "seeds", "threads", "tracker", "version"},
}


class PluginError(RuntimeError):
    """A plugin that exists but cannot be used; the message names its distribution and the reason."""


class NotInstalledError(PluginError):
    """A plugin is sound, but a package that it needs is not installed; the message says which."""


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

    def label(self) -> str:
        """Return how messages name it: its kind, name, distribution and version."""
        return f"{KIND[self.group]} {self.name!r} of {self.distribution} {self.version}"

    def load(self) -> Any:
        """Import the plugin and return what it registered.

        Raises:
            PluginError: Its import failed, or what it registered is of the wrong kind.
            NotInstalledError: It needs PyTorch, which is not installed.
        """
        try:
            loaded = self.entry_point.load()
        except ModuleNotFoundError as error:
            if error.name == "torch":  # an installation without it is complete for one's own training loops
                words = f"it needs PyTorch ({error}). Try: pip install torch"
                raise NotInstalledError(f"{self.label()}: {words}") from error
            raise self._import_error(error) from error
        except (Exception, SystemExit) as error:
            raise self._import_error(error) from error
        if refused := why_refused(self.group, loaded):
            raise PluginError(f"{self.label()}: {self.entry_point.value} {refused}.")
        if self.group == CONFIGS:
            self._check_fields(loaded)
        return loaded

    def _import_error(self, error: BaseException) -> PluginError:
        """Return the error for a plugin whose import failed; it names a file that hides our package, if one does."""
        other = hidden_by(self.entry_point.module.partition(".")[0]) if self.distribution == OURS else None
        hidden = f" {other} is imported in its place: rename it, or start from another directory." if other else ""
        return PluginError(
            f"{self.label()} cannot be imported from {self.entry_point.value}: {type(error).__name__}: {error}{hidden}"
        )

    def check(self) -> None:
        """Load the plugin and also call what can be called without a run.

        Raises:
            PluginError: As ``load``, or an evaluator's ``supports`` or a tracker's constructor raised.
        """
        loaded = self.load()
        if self.group == EVALUATORS:
            from core.config.config import ModelConfig

            self.supports(loaded, ModelConfig())
        if self.group == TRACKERS:
            self._check_made(loaded)

    def supports(self, evaluator: Any, config: ModelConfig) -> bool:
        """Return whether an evaluator says that it supports a run of this config; without ``supports`` it does.

        Raises:
            PluginError: ``supports`` raised.
        """
        if not hasattr(evaluator, "supports"):
            return True
        try:
            return bool(evaluator.supports(config))
        except ConfigError:
            raise
        except Exception as error:
            raise PluginError(f"{self.label()}: supports() raised {type(error).__name__}: {error}") from error

    def _check_made(self, tracker: type[Any]) -> None:
        """Make a tracker, as a run does. A package that it lacks does not make it broken: it may be an extra."""
        try:
            tracker()
        except ModuleNotFoundError as error:
            raise NotInstalledError(f"{self.label()}: {error}") from error
        except Exception as error:
            raise PluginError(f"{self.label()}: its constructor raised {type(error).__name__}: {error}") from error

    def _check_fields(self, cls: type[ModelConfig]) -> None:
        """Check the fields that a config class adds."""
        import attrs

        own = set(vars(cls).get("__annotations__", {}))
        if own - {field.name for field in attrs.fields(cls)}:
            raise PluginError(
                f"{self.label()}: its fields {', '.join(sorted(own))} are not attrs fields; "
                "decorate the class with @attrs.frozen(kw_only=True)."
            )
        reserved = sorted(RESERVED & own)
        if reserved:
            raise PluginError(
                f"{self.label()}: {', '.join(reserved)}: the command line has an option of this name. Rename the field."
            )


@functools.cache
def registered(group: str) -> tuple[Plugin, ...]:
    """Return every plugin of a group, sorted by name. If two have one name, both are in it."""
    plugins = []
    for entry_point in _entry_points(group):
        name, version = _name_and_version(entry_point.dist)
        plugins.append(Plugin(group, entry_point.name, name, version, entry_point))
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution)))


@functools.cache  # each look parses the whole METADATA, readme included
def _name_and_version(dist: Distribution | None) -> tuple[str, str]:
    name = version = None
    with contextlib.suppress(Exception):  # a stranger's damaged metadata may raise anything
        if dist is not None:
            name, version = dist.metadata["Name"], dist.metadata["Version"]
    folder = getattr(getattr(dist, "_path", None), "name", "unknown")  # such as odd-2.0.dist-info
    return str(name or folder), str(version or "unknown")


def _entry_points(group: str) -> list[EntryPoint]:
    try:
        return list(importlib.metadata.entry_points(group=group))
    except (
        Exception
    ):  # one malformed entry_points.txt hides those of every package; which errors it raises is not fixed
        # torch looks for entry points of its own while it is imported, and the import would fail in the same way
        os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
        return list(_readable_entry_points(group))


def _readable_entry_points(group: str) -> Iterator[EntryPoint]:
    """Yield the entry points of every distribution whose file can be read, and warn of each that cannot."""
    seen = set()
    for distribution in importlib.metadata.distributions():
        name, version = _name_and_version(distribution)
        if name in seen:  # a later one on the path is hidden by the first
            continue
        seen.add(name)
        try:
            yield from distribution.entry_points.select(group=group)
        except Exception as error:
            _warn_once(
                f"{name}{'' if version == 'unknown' else f' {version}'}: its entry_points.txt cannot be read "
                f"({type(error).__name__}: {error}); its plugins are missing"
            )


@functools.cache
def _warn_once(text: str) -> None:
    """Warn, once for all groups of plugins."""
    warnings.warn(text, stacklevel=1)


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
    """Import the plugin of that name and return what it registered. Errors: as ``find`` and ``Plugin.load``."""
    return find(group, name).load()


@contextlib.contextmanager
def named_in_errors(group: str, name: str) -> Iterator[None]:
    """Add a note that names the plugin and its distribution to an error that another package's plugin raises."""
    try:
        yield
    except PluginError:  # it names the plugin already
        raise
    except Exception as error:
        plugin = find(group, name)
        if plugin.distribution != OURS:
            error.add_note(f"raised in {plugin.label()}")
        raise
