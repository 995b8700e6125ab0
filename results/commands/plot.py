"""``python -m core plot``: training curves, measures against a field or the sampler steps, and sample grids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from core.config.errors import ConfigError
from core.utils.output import put
from results.commands import shared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from core.utils.results import ResultMetadata
    from results.groups import Group
    from results.hidden_differences import Mixed
    from results.plots.look import Look
    from results.run import Run

N_PANELS = 4
MOST_GROUPS = 4  # named in a caption


class _Plots(shared.NearestNameGroup):
    """The group of plots."""

    kind = "plot"


@click.group(cls=_Plots, context_settings=shared.SETTINGS)
def plot() -> None:
    """Plot training curves, measures against a config field or the sampler steps, or sample grids.

    Each plot shows units, n and the meaning of its error bars. The suffix of the file selects PNG, SVG or PDF.
    """


def _plot_options(default: str) -> Callable[[Any], Any]:
    """Add the options of every plot; ``default`` is the file to write."""
    options = [
        click.option(
            "--size", metavar="W,H", help="Width and height in inches.  [default: large enough for all labels]"
        ),
        click.option("--style", metavar="NAME", help="One of Matplotlib's styles, such as dark_background or ggplot."),
        click.option(
            "--output",
            "-o",
            metavar="FILE",
            default=default,
            show_default=True,
            help="File to write; its suffix selects PNG, SVG or PDF.",
        ),
        shared.where_option,
        shared.split_by_option,
        shared.strict_option,
        shared.common_options,
    ]

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@plot.command(context_settings=shared.SETTINGS)
@click.argument("measures", metavar="[MEASURE]...", nargs=-1)
@click.option("--metric", "metrics", metavar="NAME", multiple=True, help="The same as MEASURE; may be repeated.")
@click.option(
    "--x", "axis", type=click.Choice(["step", "epoch"]), default="step", show_default=True, help="Horizontal axis."
)
@click.option("--log", is_flag=True, help="Use a logarithmic vertical axis.")
@click.option(
    "--smooth",
    metavar="N",
    type=int,
    default=1,
    show_default=True,
    help="Draw the mean as its centred moving average over N points, an odd number. Bands and single runs stay as "
    "measured.",
)
@click.option(
    "--runs/--no-runs",
    "single_runs",
    default=None,
    help="Draw single runs as thin lines.  [default: yes, for up to 7 groups]",
)
@shared.level_option
@_plot_options("curves.png")
def curves(
    measures: tuple[str, ...],
    metrics: tuple[str, ...],
    axis: str,
    log: bool,
    smooth: int,
    single_runs: bool | None,
    level: float,
    **asked: Any,
) -> None:
    """Plot training curves: the mean over seeds with a band, and single runs as thin lines.

    MEASURE is a name in metrics.jsonl. Default: loss.
    """
    if smooth < 1 or smooth % 2 == 0:
        raise ConfigError(f"--smooth: got {smooth}; accepted: an odd number of points, such as 9.")
    opened = _open(**asked)
    from results.plots.curves import CurveOptions, plot_curves

    options = CurveOptions(axis, log, level, smooth, single_runs, opened.look, opened.notes)
    _save(opened, lambda: plot_curves(opened.groups, measures + metrics, options))


@plot.command(context_settings=shared.SETTINGS)
@click.argument("name", metavar="FIELD")
@shared.metric_option
@shared.level_option
@_plot_options("field.png")
def field(name: str, metrics: tuple[str, ...], level: float, **asked: Any) -> None:
    """Plot measures against a config FIELD: the mean over seeds with error bars."""
    opened = _open(**asked)
    from results.measures import choose_measures
    from results.plots.points import plot_field

    chosen = choose_measures(_counts(opened.groups), metrics, None if metrics else N_PANELS)
    opened = opened.noting_results(chosen, strict=asked["strict"])
    _save(
        opened,
        lambda: plot_field(opened.groups, name, chosen, level=level, look=opened.look, notes=opened.notes),
    )


@plot.command(context_settings=shared.SETTINGS)
@shared.metric_option
@shared.level_option
@_plot_options("steps.png")
def steps(metrics: tuple[str, ...], level: float, **asked: Any) -> None:
    """Plot sample quality against the number of sampler steps."""
    opened = _open(**asked)
    from results.measures import choose_measures
    from results.plots.points import plot_steps

    chosen = choose_measures(_counts(opened.groups), metrics)
    opened = opened.noting_results(chosen, strict=asked["strict"])
    _save(opened, lambda: plot_steps(opened.groups, chosen, level=level, look=opened.look, notes=opened.notes))


@plot.command(context_settings=shared.SETTINGS)
@click.option(
    "--each-run", is_flag=True, help="Show a grid for every run, not only for the smallest seed of each group."
)
@_plot_options("samples.png")
def samples(each_run: bool, **asked: Any) -> None:
    """Show the newest sample grids side by side."""
    opened = _open(**asked)
    from results.plots.samples import plot_samples

    _save(opened, lambda: plot_samples(opened.groups, each_run=each_run, look=opened.look, notes=opened.notes))


@frozen
class _Opened:
    """The input of every plot: the groups, its size and style, notes for its caption, and the file to write."""

    groups: list[Group]
    look: Look
    notes: tuple[str, ...]
    output: Path

    def noting_results(self, measures: Collection[ResultMetadata], *, strict: bool) -> _Opened:
        """Return this with notes on stale results, and on different weights; for these, ``strict`` raises an error."""
        from results.hidden_differences import mixed_weights_of

        mixed = mixed_weights_of(self.groups, measures)
        shared.refuse_mixed(mixed, strict)
        stale = [run for group in self.groups for run in group.stale_runs(measures)]
        return evolve(self, notes=(*self.notes, *_notes(mixed), *_stale_notes(stale)))


def _open(
    output: str,
    size: str | None,
    style: str | None,
    where: tuple[str, ...],
    split_by: tuple[str, ...],
    strict: bool,
    experiments_dir: str | None,
) -> _Opened:
    from results.environments import mixed_environments
    from results.groups import group_runs
    from results.plots.figure import check_suffix
    from results.plots.look import Look, parse_size

    check_suffix(Path(output))
    look = Look(None if size is None else parse_size(size), style)
    database = shared.open_database(experiments_dir, where).read()
    every = group_runs(database, split_by)
    groups = [group for group in every if group.replicates]
    mixed = mixed_environments((run for group in groups for run in group.replicates.values()), split_by)
    shared.refuse_mixed(mixed, strict)
    shared.report_faults(database.faults)
    if not groups:
        raise ConfigError("no run has finished, so there is nothing to plot.")
    if hidden := shared.hidden_note():
        put(hidden, err=True)
    return _Opened(groups, look, (*_unfinished_notes(every), *_notes(mixed)), Path(output))


def _unfinished_notes(groups: Sequence[Group]) -> tuple[str, ...]:
    """Return a note for the caption that names the groups without a finished run, and print it."""
    states = [
        f"{group.label} ({', '.join(f'{n} {state}' for state, n in group.left_out.items())})"
        for group in groups
        if not group.replicates
    ]
    if not states:
        return ()
    more = f" and {len(states) - MOST_GROUPS} more" if len(states) > MOST_GROUPS else ""
    note = f"Not drawn, since no run finished: {', '.join(states[:MOST_GROUPS])}{more}."
    put(note, err=True)
    return (note,)


def _stale_notes(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return a note for the caption on runs with stale results, and print it with the command to evaluate again."""
    from results.staleness import stale_note

    if not runs:
        return ()
    put(stale_note(runs), err=True)
    return (stale_note(runs).partition(" Evaluate again")[0],)


def _notes(mixed: Mixed) -> tuple[str, ...]:
    """Print what the runs mix, and return it as notes for the caption."""
    from results.hidden_differences import mixed_line, mixed_text

    if not mixed:
        return ()
    put(mixed_line(mixed), err=True)
    return (f"Mixed: {mixed_text(mixed)}.",)


def _counts(groups: Sequence[Group]) -> dict[ResultMetadata, int]:
    counts: Counter[ResultMetadata] = Counter()
    for group in groups:
        counts.update(group.measures())
    return counts


def _save(opened: _Opened, draw: Callable[[], Figure]) -> None:
    from results.plots.figure import save
    from results.provenance import provenance

    with opened.look.applied():
        save(draw(), opened.output, provenance(opened.groups))
    put(f"Written: {opened.output}")
