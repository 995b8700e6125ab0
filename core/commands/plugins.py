"""``python -m core plugins``: list installed plugins, the engine of the meter, and broken plugins."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import click

from core import plugins as registry


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

    Without --check, a plugin is imported only up to the point where it imports torch.
    """
    from core.meter import engines  # 80 ms of numpy

    blocker = _WithoutTorch()
    if not check:
        sys.meta_path.insert(0, blocker)
    try:
        for group in registry.GROUPS:
            click.echo(f"{registry.KIND[group]}s ({group})")
            rows = [(p.name, f"{p.distribution} {p.version}", state) for p, state in _states(group)]
            for name, owner, state in rows:
                click.echo(f"  {name:<16} {owner:<24} {state}".rstrip())
            if not rows:
                click.echo("  none; is pyml-core installed? Try: pip install -e .")
    finally:
        if not check:
            sys.meta_path.remove(blocker)
    click.echo(engines.describe())


def _states(group: str) -> Iterator[tuple[registry.Plugin, str]]:
    everyone = registry.registered(group)
    for plugin in everyone:
        others = [p.distribution for p in everyone if p.name == plugin.name and p is not plugin]
        if others:
            yield plugin, f"CLASH: {' and '.join(others)} registers this name, too; uninstall one"
            continue
        try:
            plugin.load()
        except registry.PluginError as error:
            yield (
                plugin,
                "" if _needs_torch(error) else f"BROKEN: {_one_line(error.__cause__ or error)}",
            )
        else:
            yield plugin, ""


def _needs_torch(error: BaseException | None) -> bool:
    """Return whether an import failed because torch was blocked, also if the plugin raised its own error for that."""
    while error is not None:
        if isinstance(error, TorchNeededError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _one_line(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")
