"""``python -m core plugins``: list installed plugins, the engine of the meter, and broken plugins."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import click

from core import plugins as registry
from core.utils.output import put

BROKEN, CLASH = "BROKEN", "CLASH"


class TorchNeededError(ImportError):
    """A plugin's module imports torch, which a quick check does not."""


class _WithoutTorch(MetaPathFinder):
    """Stops the import of torch, which takes 2.5 s: too long for a list."""

    def find_spec(self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None) -> None:
        if fullname == "torch":
            raise TorchNeededError("imports torch", name=fullname)


@click.command("plugins")
@click.option("--check", is_flag=True, help="Import every plugin completely, with torch. Takes some seconds.")
def plugins(check: bool) -> None:
    """List the installed plugins, the meter's engine, and why a plugin is broken.

    Without --check, a plugin is imported only up to the point where it imports torch. With --check, each is imported
    completely and checked, and the exit code is 1 if something is broken.
    """
    from core.meter import engines  # 80 ms of numpy

    blocker, n_broken = _WithoutTorch(), 0
    if not check:
        sys.meta_path.insert(0, blocker)
    try:
        for group in registry.GROUPS:
            put(f"{registry.KIND[group]}s ({group})")
            rows = [(p.name, f"{p.distribution} {p.version}", state) for p, state in _states(group, check)]
            n_broken += sum(state.startswith((BROKEN, CLASH)) for _, _, state in rows)
            for name, owner, state in rows:
                put(f"  {name:<16} {owner:<24} {state}".rstrip())
            if not rows:
                put("  none; is pyml-core installed? Try: pip install -e .")
    finally:
        if not check:
            sys.meta_path.remove(blocker)
    put(engines.describe())
    if check and n_broken:
        put(f"{n_broken} broken", err=True)
        sys.exit(1)


def _states(group: str, check: bool) -> Iterator[tuple[registry.Plugin, str]]:
    everyone = registry.registered(group)
    for plugin in everyone:
        others = [p.distribution for p in everyone if p.name == plugin.name and p is not plugin]
        if others:
            yield plugin, f"{CLASH}: {' and '.join(others)} registers this name, too; uninstall one"
            continue
        try:
            plugin.check() if check else plugin.load()
        except registry.NotInstalledError as error:
            yield plugin, f"not installed: {_reason(plugin, error)}"
        except registry.PluginError as error:
            yield plugin, "" if _needs_torch(error) else f"{BROKEN}: {_reason(plugin, error)}"
        else:
            yield plugin, ""


def _needs_torch(error: BaseException | None) -> bool:
    """Return whether an import failed because torch was blocked, also if the plugin raised its own error for that."""
    while error is not None:
        if isinstance(error, TorchNeededError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reason(plugin: registry.Plugin, error: registry.PluginError) -> str:
    """Return an error's text in one line, without what the list shows already."""
    text = str(error).removeprefix(plugin.label()).removeprefix(f" cannot be imported from {plugin.entry_point.value}")
    return text.removeprefix(": ").replace("\n", " ")
