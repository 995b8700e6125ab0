"""``python -m core plot``: training curves, measures against a field or the sampler steps, and sample grids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.config.errors import ConfigError, unknown_name
from core.utils.output import put
from results.commands import shared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from core.utils.results import ResultMetadata
    from results.groups import Group

N_PANELS = 4


class _NearestName(click.Group):
    """A command group that suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            raise unknown_name("plot", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(cls=_NearestName, context_settings=shared.SETTINGS)
def plot() -> None:
    """Plot training curves, measures against a config field or the sampler steps, or sample grids.

    Each plot shows units, n and the meaning of its error bars. The suffix of the file selects PNG, SVG or PDF.
    """


def _output_option(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--output",
        "-o",
        metavar="FILE",
        default=default,
        show_default=True,
        help="File to write; its suffix selects PNG, SVG or PDF.",
    )


@plot.command(context_settings=shared.SETTINGS)
@click.argument("measures", metavar="[MEASURE]...", nargs=-1)
@click.option(
    "--x", "axis", type=click.Choice(["step", "epoch"]), default="step", show_default=True, help="Horizontal axis."
)
@click.option("--log", is_flag=True, help="Use a logarithmic vertical axis.")
@shared.level_option
@_output_option("curves.png")
@shared.where_option
@shared.common_options
def curves(
    measures: tuple[str, ...],
    axis: str,
    log: bool,
    level: float,
    output: str,
    where: tuple[str, ...],
    experiments_dir: str | None,
) -> None:
    """Plot training curves: the mean over seeds with a band.

    MEASURE is a name in metrics.jsonl. Default: loss.
    """
    groups = _groups(experiments_dir, where, output)
    from results.plots.curves import plot_curves

    _save(plot_curves(groups, measures, axis=axis, log=log, level=level), output, groups)


@plot.command(context_settings=shared.SETTINGS)
@click.argument("name", metavar="FIELD")
@shared.metric_option
@shared.level_option
@_output_option("field.png")
@shared.where_option
@shared.common_options
def field(
    name: str,
    metrics: tuple[str, ...],
    level: float,
    output: str,
    where: tuple[str, ...],
    experiments_dir: str | None,
) -> None:
    """Plot measures against a config FIELD: the mean over seeds with error bars."""
    groups = _groups(experiments_dir, where, output)
    from results.measures import choose_measures
    from results.plots.points import plot_field

    chosen = choose_measures(_counts(groups), metrics, None if metrics else N_PANELS)
    _save(plot_field(groups, name, chosen, level=level), output, groups)


@plot.command(context_settings=shared.SETTINGS)
@shared.metric_option
@shared.level_option
@_output_option("steps.png")
@shared.where_option
@shared.common_options
def steps(
    metrics: tuple[str, ...], level: float, output: str, where: tuple[str, ...], experiments_dir: str | None
) -> None:
    """Plot sample quality against the number of sampler steps."""
    groups = _groups(experiments_dir, where, output)
    from results.measures import choose_measures
    from results.plots.points import plot_steps

    _save(plot_steps(groups, choose_measures(_counts(groups), metrics), level=level), output, groups)


@plot.command(context_settings=shared.SETTINGS)
@click.option(
    "--each-run", is_flag=True, help="Show a grid for every run, not only for the smallest seed of each group."
)
@_output_option("samples.png")
@shared.where_option
@shared.common_options
def samples(each_run: bool, output: str, where: tuple[str, ...], experiments_dir: str | None) -> None:
    """Show the newest sample grids side by side."""
    groups = _groups(experiments_dir, where, output)
    from results.plots.samples import plot_samples

    _save(plot_samples(groups, each_run=each_run), output, groups)


def _groups(experiments_dir: str | None, where: tuple[str, ...], output: str) -> list[Group]:
    from results.groups import group_runs
    from results.plots.figure import check_suffix

    check_suffix(Path(output))
    database = shared.open_database(experiments_dir, where).read()
    groups = [group for group in group_runs(database) if group.replicates]
    shared.report_faults(database.faults)
    if not groups:
        raise ConfigError("no run has finished, so there is nothing to plot.")
    return groups


def _counts(groups: Sequence[Group]) -> dict[ResultMetadata, int]:
    counts: Counter[ResultMetadata] = Counter()
    for group in groups:
        counts.update(group.measures())
    return counts


def _save(figure: Figure, output: str, groups: Sequence[Group]) -> None:
    from results.plots.figure import save
    from results.provenance import provenance

    save(figure, Path(output), provenance(groups))
    put(f"Written: {output}")
