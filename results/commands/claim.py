"""``pyml claim``: test whether a measure is below or above a given value."""

from __future__ import annotations

import math

import click

from core.config.errors import ConfigError
from core.utils.output import put
from results.commands import shared


@click.command(context_settings=shared.SETTINGS)
@click.argument("spec", metavar="A")
@click.option("--metric", metavar="NAME", required=True, help="Measure to test, by name or label.")
@click.option("--below", metavar="X", type=float, help="Claim that the mean over runs is below X.")
@click.option("--above", metavar="X", type=float, help="Claim that the mean over runs is above X.")
@click.option("--sequential", is_flag=True, help="Use a test that stays valid if it is repeated after each new seed.")
@shared.where_option
@click.option(
    "--group", "whole_group", is_flag=True, help="If A is a run, use all runs that differ from it only in seed."
)
@shared.level_option
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shared.common_options
def claim(
    spec: str,
    metric: str,
    below: float | None,
    above: float | None,
    sequential: bool,
    where: tuple[str, ...],
    whole_group: bool,
    level: float,
    style: str,
    experiments_dir: str | None,
) -> None:
    """Test a claim, such as: the mean loss over runs is below 3.28. The answer may be: cannot tell.

    A selects runs that differ only in seed. It is a condition (model=unet) or one run: a path, a run id, a unique
    prefix of an id, or latest.
    """
    line = _line(below, above)
    from results.comparison.claim import claim_json, claim_text, make_claim
    from results.run_files import without_garbage_collection
    from results.selection import select_group

    with without_garbage_collection():
        database = shared.open_database(experiments_dir, where)
        group = select_group(database, spec, whole_group=whole_group)
        made = make_claim(group, metric, line, below=below is not None, sequential=sequential, level=level)
        put(claim_json(made) if style == "json" else claim_text(made))
        if hidden := shared.hidden_note():
            put(hidden, err=True)
        shared.report_faults([fault for run in group.runs for fault in run.faults])


def _line(below: float | None, above: float | None) -> float:
    given = [line for line in (below, above) if line is not None]
    if len(given) != 1:
        raise ConfigError("claim needs a value: give either --below X or --above X.")
    if not math.isfinite(given[0]):
        raise ConfigError(f"{'--below' if below is not None else '--above'}: got {given[0]:g}; accepted: a number.")
    return given[0]
