"""``pyml import``: take runs of another tool as runs."""

from __future__ import annotations

from pathlib import Path

import click

from core.config.config import GlobalConfig
from core.config.load import Layer, build_config
from core.utils.output import put, say
from results.commands import shared


@click.group("import", cls=shared.NearestNameGroup, context_settings=shared.SETTINGS)
def import_group() -> None:
    """Import the runs of another tool."""


@import_group.command(context_settings=shared.SETTINGS)
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--unfinished", is_flag=True, help="Import runs, too, that MLflow calls running, as interrupted.")
@shared.common_options
def mlruns(directory: Path, unfinished: bool, experiments_dir: str | None) -> None:
    """Import the runs of MLflow's file store, usually a directory called mlruns.

    Parameters become the config, metrics the training curve, and the last value of each metric a result whose error is
    unknown. Importing again imports only what is new. A run that cannot be read costs one line.
    """
    from results.exchange.import_runs import import_mlruns
    from results.text.labels import count

    given = {} if experiments_dir is None else {"experiments_dir": experiments_dir}
    where = build_config(GlobalConfig, Layer("command line", given, is_text=True)).experiments_dir
    done = import_mlruns(directory, where, unfinished=unfinished)
    for fault in done.faults:
        say(f"Left out: {fault}", err=True)
    left_out = {
        "imported before": done.n_before,
        "deleted in MLflow": done.n_deleted,
        "not finished (--unfinished imports them)": done.n_unfinished,
        "damaged": len(done.faults),
    }
    rest = "".join(f"; {n:,} {why}" for why, n in left_out.items() if n)
    put(f"Imported {count(len(done.new), 'run')} into {where}{rest}.")
