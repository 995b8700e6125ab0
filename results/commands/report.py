"""``python -m core report``: one HTML page about an experiments directory."""

from __future__ import annotations

from pathlib import Path

import click

from core.config.errors import ConfigError
from results.commands import shared

N_MEASURES = 6


@click.command(context_settings=shared.SETTINGS)
@shared.where_option
@shared.metric_option
@click.option("--title", metavar="TEXT", help="Heading of the page.  [default: the directory's name]")
@shared.level_option
@click.option(
    "--output", "-o", metavar="FILE", default="report.html", show_default=True, help="File to write (.html or .htm)."
)
@click.option(
    "--baseline",
    metavar="A",
    help="Compare each group with this one: a condition that its runs meet, such as model=mlp, or one of its runs.  "
    "[default: the oldest group]",
)
@click.option("--public", is_flag=True, help="Leave hosts, users and paths out, for a page that strangers may see.")
@shared.split_by_option
@shared.common_options
def report(
    where: tuple[str, ...],
    metrics: tuple[str, ...],
    title: str | None,
    level: float,
    output: str,
    baseline: str | None,
    public: bool,
    split_by: tuple[str, ...],
    experiments_dir: str | None,
) -> None:
    """Write one self-contained HTML page with answers, results, curves, samples, configs, failures and runs.

    The page needs no network. A small script sorts and searches its tables and shows the values of curves. It is
    readable without the script, on a phone, in dark mode and in print.
    """
    path = Path(output)
    if path.suffix not in {".html", ".htm"}:
        raise ConfigError(f"{path}: got the suffix {path.suffix!r}; accepted: .html or .htm.")
    from results.measures import choose_measures
    from results.report.report import ReportOptions, make_report
    from results.run_files import without_garbage_collection

    with without_garbage_collection():
        database = shared.open_database(experiments_dir, where)
        measures = choose_measures(database.metadata(), metrics, None if metrics else N_MEASURES)
        options = ReportOptions(title, level, metrics, split_by, path.parent, baseline, public)
        shared.write_file(path, make_report(database, measures, options).encode())
        shared.report_faults(database.faults)
