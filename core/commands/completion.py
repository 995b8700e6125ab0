"""What the shell completes: models, data sets, evaluators, and the choices of config fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from click.shell_completion import CompletionItem

from core import plugins

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_plugins(group: str) -> Complete:
    """Return the completion of the names of a group of plugins, without importing them."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _starting_with(plugins.names(group), incomplete)

    return complete


def with_completion(option: click.Option) -> click.Option:
    """Return an option made from a config field, with the completion that fits it."""
    groups = {"model": plugins.MODELS, "dataset": plugins.DATASETS, "tracker": plugins.TRACKERS}
    if option.name in groups:
        option._custom_shell_complete = complete_plugins(groups[option.name])
    elif option.metavar and "|" in option.metavar:
        choices = option.metavar.split("|")
        option._custom_shell_complete = lambda _ctx, _param, incomplete: _starting_with(choices, incomplete)
    elif option.metavar == "PATH":
        option._custom_shell_complete = lambda _ctx, _param, incomplete: [CompletionItem(incomplete, type="dir")]
    return option


def _starting_with(names: Sequence[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
