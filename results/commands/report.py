"""``python -m core report``: one HTML page about an experiment directory."""

from __future__ import annotations

from pathlib import Path

import click

from core.config.errors import ConfigError
from results.commands.shared import (
    SETTINGS,
    common_options,
    metric_option,
    open_database,
    report_faults,
    where_option,
    write_file,
)

N_MEASURES = 6


@click.command(context_settings=SETTINGS)
@where_option
@metric_option
@click.option("--title", metavar="TEXT", help="Heading of the page.  [default: the directory's name]")
@click.option("--level", metavar="L", type=float, default=0.95, show_default=True, help="Coverage of the intervals.")
@click.option("--output", "-o", metavar="FILE", default="report.html", show_default=True, help="The page to write.")
@common_options
def report(
    where: tuple[str, ...],
    metrics: tuple[str, ...],
    title: str | None,
    level: float,
    output: str,
    experiments_dir: str | None,
) -> None:
    """Write one self-contained HTML page: groups, curves, samples, configs, what failed.

    It works from a file, without network or script, on a phone and in print.
    """
    path = Path(output)
    if path.suffix not in {".html", ".htm"}:
        raise ConfigError(f"{path}: got the suffix {path.suffix!r}; accepted: .html or .htm.")
    if not 0 < level < 1:
        raise ConfigError(f"--level: got {level:g}; accepted: a number between 0 and 1, such as 0.95.")
    from results.measures import choose_measures
    from results.report.report import make_report

    database = open_database(experiments_dir, where)
    measures = choose_measures(database.metadata(), metrics, None if metrics else N_MEASURES)
    write_file(path, make_report(database, measures, title=title, level=level).encode())
    report_faults(database.faults)
