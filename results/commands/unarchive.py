"""``pyml unarchive``: bring archived runs back into lists, tables and comparisons."""

from __future__ import annotations

import click

from core.runs.completion import complete_runs
from core.utils.output import put
from results.commands import marking, shared


@click.command(context_settings=shared.SETTINGS)
@click.argument("runs", metavar="RUN...", nargs=-1, shell_complete=complete_runs)
@click.option(
    "--where", metavar="CONDITION", multiple=True, help="Bring back the archived runs that meet this condition."
)
@shared.common_options
def unarchive(runs: tuple[str, ...], where: tuple[str, ...], experiments_dir: str | None) -> None:
    """Bring archived runs back into lists, tables, comparisons, plots and reports.

    RUN is a path, a run id, a unique prefix of an id, or latest.
    """
    conditions = (*where, "archived=true") if where else ()
    chosen = marking.chosen_runs(runs, conditions, experiments_dir)
    for line in marking.set_archived(chosen, archived=False):
        put(line)
