"""``pyml tag``: add tags to runs, remove them, or show them."""

from __future__ import annotations

import click
from attrs import evolve

from core.config.errors import ConfigError
from core.runs.completion import complete_runs
from core.runs.tags import Tags, changed
from core.utils.output import put
from results.commands import marking, shared

SETTINGS = {"ignore_unknown_options": True, "help_option_names": ["--help"]}  # -old is a tag to remove


@click.command(context_settings=SETTINGS)
@click.argument("words", metavar="RUN... [+TAG]... [-TAG]...", nargs=-1, shell_complete=complete_runs)
@shared.where_option
@shared.common_options
def tag(words: tuple[str, ...], where: tuple[str, ...], experiments_dir: str | None) -> None:
    """Add tags to runs (+good) and remove them (-old); without changes, show the tags.

    RUN is a path, a run id, a unique prefix of an id, or latest. Tags are kept in tags.json of the run. Select runs by
    them with --where tag=good.
    """
    named = [word for word in words if word[:1] not in {"+", "-"}]
    try:
        runs = marking.chosen_runs(named, where, experiments_dir)
    except ConfigError as error:
        if len(words) == len(named) > 1:  # "tag latest good": the tag lacks its plus
            raise ConfigError(f"{error} To add a tag, put a plus before it: +{named[-1]}") from None
        raise
    add = [word[1:] for word in words if word.startswith("+")]
    remove = [word[1:] for word in words if word.startswith("-")]
    if not add and not remove:
        for run in runs:
            put(f"{run.id}: {', '.join(run.tags.tags) or 'no tags'}")
        return

    def change(tags: Tags) -> Tags:
        return evolve(tags, tags=changed(tags.tags, add, remove))

    if not any(word.strip("+-") for word in words if word[:1] in {"+", "-"}):
        raise ConfigError("tag: got a sign without a name; accepted: +TAG to add, -TAG to remove.")
    for run, tags in zip(runs, marking.mark(runs, change), strict=True):
        put(f"{run.id}: {', '.join(tags.tags) or 'no tags'}")
