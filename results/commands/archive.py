"""``pyml archive``: leave runs out of lists, tables and comparisons. Nothing is deleted."""

from __future__ import annotations

import click

from core.runs.completion import complete_runs
from core.utils.output import put
from results.commands import marking, shared


@click.command(context_settings=shared.SETTINGS)
@click.argument("runs", metavar="RUN...", nargs=-1, shell_complete=complete_runs)
@shared.where_option
@shared.common_options
def archive(runs: tuple[str, ...], where: tuple[str, ...], experiments_dir: str | None) -> None:
    """Archive runs: lists, tables, comparisons, plots and reports leave them out unless --archived is given.

    Nothing is deleted or moved. RUN is a path, a run id, a unique prefix of an id, or latest.
    """
    chosen = marking.chosen_runs(runs, where, experiments_dir)
    for line in marking.set_archived(chosen, archived=True):
        put(line)
