"""The configs of ``pyml-train --seeds``: one for each seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import click

from core.config.errors import ConfigError

if TYPE_CHECKING:
    from core.commands.config_command import Resolved
    from core.config.config import ModelConfig


def with_seeds(config: ModelConfig, seeds: str, resume: str | None, resolved: Resolved) -> list[ModelConfig]:
    """Return the config once for each seed of ``A..B`` or ``A,B,...``.

    Args:
        config: The config without its seed.
        seeds: The text after ``--seeds``.
        resume: The text after ``--resume``, which does not go with seeds; None if it was not given.
        resolved: What else the command line asked for.

    Raises:
        ConfigError: The text is no list of different seeds.
        click.UsageError: ``--seed`` or ``--resume`` was given, too.
    """
    if resume is not None or "seed" in resolved.on_command_line:
        raise click.UsageError(f"--seeds cannot be combined with {'--resume' if resume is not None else '--seed'}.")
    try:
        first, dots, last = seeds.partition("..")
        found = list(range(int(first), int(last) + 1)) if dots else [int(part) for part in seeds.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise ConfigError(f"--seeds: got {seeds!r}; accepted: A..B with A <= B, such as 0..4, or a list such as 0,3,7.")
    return [attrs.evolve(config, seed=seed) for seed in found]
