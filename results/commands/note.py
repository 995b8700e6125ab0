"""``pyml note``: write a note about a run, or show it."""

from __future__ import annotations

import click
from attrs import evolve

from core.runs.completion import complete_runs
from core.runs.tags import checked_note
from core.utils.output import put
from results.commands import marking, shared


@click.command(context_settings=shared.SETTINGS)
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.argument("text", metavar="[TEXT]", required=False)
@shared.common_options
def note(run: str, text: str | None, experiments_dir: str | None) -> None:
    """Write a note about a run; it replaces an earlier one. Without TEXT, show the note. An empty TEXT removes it.

    RUN is a path, a run id, a unique prefix of an id, or latest. The note is kept in tags.json of the run.
    """
    runs = marking.chosen_runs([run], (), experiments_dir)
    if text is None:
        found = runs[0].tags.note
        put(found or f"{runs[0].id}: no note")
        return
    written = checked_note(text)
    marking.mark(runs, lambda tags: evolve(tags, note=written))
    put(f"{runs[0].id}: {'note written' if written else 'note removed'}")
