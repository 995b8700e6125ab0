"""``python -m core compare``: is there a difference, or can nobody tell?"""

from __future__ import annotations

import click

from core.config.errors import ConfigError
from results.commands import shared


@click.command(context_settings=shared.SETTINGS)
@click.argument("specs", metavar="A B [B...]", nargs=-1)
@shared.metric_option
@shared.where_option
@click.option("--group", "whole_group", is_flag=True, help="A run stands for all runs that differ only in seed.")
@click.option(
    "--test",
    "method",
    type=click.Choice(["auto", "paired", "welch", "samples"]),
    default="auto",
    show_default=True,
    help="How to test; auto pairs over shared seeds, or over shared samples of two single runs, and takes Welch else.",
)
@click.option("--detect", metavar="DELTA", type=float, help="Also the seeds needed for 80% power at this difference.")
@shared.level_option
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shared.common_options
def compare(
    specs: tuple[str, ...],
    metrics: tuple[str, ...],
    where: tuple[str, ...],
    whole_group: bool,
    method: str,
    detect: float | None,
    level: float,
    style: str,
    experiments_dir: str | None,
) -> None:
    """Compare runs or groups over seeds; the answer may be: cannot tell.

    A and B are conditions that runs which differ only in seed meet (model=unet, or "model=unet, learning_rate<1e-3"),
    or runs: a path, a run id, a unique prefix of one, or latest. Each B is compared with A.
    """
    if len(specs) < 2:
        raise ConfigError("compare needs A and B, such as: compare model=mlp model=unet, or two runs.")
    _check_detect(detect)
    from results.comparison.comparison import compare_groups
    from results.run_files import without_garbage_collection
    from results.selection import select_group

    with without_garbage_collection():
        database = shared.open_database(experiments_dir, where)
        groups = [select_group(database, spec, whole_group=whole_group) for spec in specs]
        comparisons, refused = compare_groups(groups, metrics, method, level)
        if detect is not None and len({one.metadata for one in comparisons}) > 1:
            raise ConfigError("--detect is in the unit of one measure; name it with --metric.")
        if style == "json":
            from results.comparison.json_form import comparisons_json

            click.echo(comparisons_json(comparisons, refused, detect))
        else:
            from results.comparison.text import comparisons_text

            click.echo(comparisons_text(comparisons, refused, detect))
        shared.report_faults([fault for group in groups for run in group.runs for fault in run.faults])


def _check_detect(detect: float | None) -> None:
    if detect is not None and not 0 < abs(detect) < float("inf"):
        raise ConfigError(f"--detect: got {detect:g}; accepted: a difference other than 0, in the measure's unit.")
