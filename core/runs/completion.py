"""What the shell completes where a command takes a RUN."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from core.config.config import GlobalConfig
from core.config.errors import ConfigError
from core.runs.directory import run_ids

MOST_RUNS = 20


def complete_runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return ``latest``, the newest run ids that begin so, and paths."""
    directory = ctx.params.get("experiments_dir")
    try:
        ids = run_ids(GlobalConfig(**({"experiments_dir": directory} if directory else {})).experiments_dir)
    except ConfigError:
        ids = []
    newest = [run_id for run_id in reversed(ids) if run_id.startswith(incomplete)][:MOST_RUNS]
    items = [CompletionItem(name) for name in ["latest", *newest] if name.startswith(incomplete)]
    return items or [CompletionItem(incomplete, type="dir")]
