"""``pyml export``: write results in the format of another tool."""

from __future__ import annotations

from pathlib import Path

import click

from core.config.errors import ConfigError
from core.utils.output import put, say
from results.commands import shared


@click.group("export", cls=shared.NearestNameGroup, context_settings=shared.SETTINGS)
def export_group() -> None:
    """Export results in the format of another tool; for CSV and JSON see runs export."""


@export_group.command(context_settings=shared.SETTINGS)
@click.option("--output", "-o", metavar="DIR", required=True, help="A new or empty directory; a file per run.")
@click.option("--organisation", metavar="NAME", default="unknown", show_default=True, help="Who reports the results.")
@click.option(
    "--relationship",
    type=click.Choice(["first_party", "third_party", "collaborative", "other"]),
    default="first_party",
    show_default=True,
    help="Who evaluated, relative to the model's developer.",
)
@click.option(
    "--higher",
    metavar="NAME",
    multiple=True,
    help="Higher is better for these measures, if their results do not say; * matches any text; may be repeated.",
)
@click.option("--lower", metavar="NAME", multiple=True, help="Lower is better for these measures; as --higher.")
@shared.metric_option
@shared.where_option
@shared.common_options
def eee(
    output: str,
    organisation: str,
    relationship: str,
    higher: tuple[str, ...],
    lower: tuple[str, ...],
    metrics: tuple[str, ...],
    where: tuple[str, ...],
    experiments_dir: str | None,
) -> None:
    """Write results as Every Eval Ever JSON, with standard errors, intervals and n: a file per run.

    All files are written, or none. Without --metric all measures except times are exported.
    """
    from core.runs.strict_json import dumps
    from results.exchange.directory import write_directory
    from results.exchange.every_eval_ever import Publisher, document
    from results.measures import choose_measures

    database = shared.open_database(experiments_dir, where).read()
    wanted = set(choose_measures(database.metadata(), metrics)) if metrics else None
    publisher = Publisher(organisation, relationship, higher, lower)
    documents = {run.id: document(run, publisher, wanted) for run in database}
    for _, left_out in documents.values():
        for sentence in left_out:
            say(f"Left out: {sentence}", err=True)
    files = {
        f"{run_id}.json": (dumps(content, indent=2) + "\n").encode()
        for run_id, (content, _) in documents.items()
        if content["evaluation_results"]
    }
    if not files:
        raise ConfigError("no run has a result that can be exported; nothing was written.")
    write_directory(Path(output), files)
    put(f"Written: {len(files):,} of {len(documents):,} runs into {output}")
    shared.report_faults(database.faults)
