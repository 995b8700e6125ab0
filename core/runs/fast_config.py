"""The fast reader of config.json for commands that read thousands of runs.

Runs of one config with different seeds have files that differ in one line. The rest is parsed once and shared, which
takes 5 µs for 30, and lets runs be grouped without comparing their fields. A file of another layout is read by
``CONFIG.read``; a test holds that both agree, on damaged files too.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from core.runs.config_fields import dotted
from core.runs.config_file import CONFIG
from core.runs.files import Fault, parse_object, read_file

SEED = "seed"
_LINE = f'\n    "{SEED}": '  # as CONFIG writes it; a newline cannot stand inside a JSON string
_NUMBER = re.compile(r"(?:0|[1-9]\d{0,17})(?=[,\n])")
_PLACEHOLDER = os.urandom(16).hex()  # no file can contain it


@frozen(eq=False)
class Template:
    """The part of a config that runs which differ only in seed share. Equal templates may exist more than once.

    Attributes:
        config: The hyperparameters by name, nested ones by dotted names; empty if the file has no config.
        plugins: The name, distribution and version of the plugins that provided "model" and "dataset".
    """

    config: Mapping[str, Any]
    plugins: Mapping[str, Mapping[str, str]]


@frozen
class FastConfig:
    """The config.json of a run: its fields, with its own seed, and what it shares with others."""

    config: Mapping[str, Any]
    template: Template


def read_config(run_path: str | Path) -> FastConfig | Fault:
    """Return a run's config, or why it cannot be read."""
    try:
        text = read_file(f"{run_path}/{CONFIG.name}").decode()
    except (OSError, ValueError):
        return _plain(CONFIG.read(run_path))
    before, _, rest = text.partition(_LINE)
    if (seed := _NUMBER.match(rest)) and (template := _template(before, rest[seed.end() :])):
        return FastConfig({**template.config, SEED: int(seed[0])}, template)
    return _plain(CONFIG.parsed(text, run_path))


@functools.lru_cache(maxsize=4096)
def _template(before: str, after: str) -> Template | None:
    """Return the config of a file whose seed stood between two texts; None if that was not the seed of the config."""
    content = parse_object(f'{before}{_LINE}"{_PLACEHOLDER}"{after}', CONFIG.schema)
    if isinstance(content, str) or _LINE in after:
        return None
    template = _template_of(content)
    return template if template.config.get(SEED) == _PLACEHOLDER else None


def _plain(content: dict[str, Any] | Fault) -> FastConfig | Fault:
    if isinstance(content, Fault):
        return content
    template = _template_of(content)
    return FastConfig(template.config, template)


def _template_of(content: Mapping[str, Any]) -> Template:
    config, plugins = content.get("config"), content.get("plugins")
    return Template(
        dotted(config) if isinstance(config, dict) else {},
        {
            kind: {name: str(value) for name, value in plugin.items()}
            for kind, plugin in (plugins.items() if isinstance(plugins, dict) else ())
            if isinstance(plugin, dict)
        },
    )
