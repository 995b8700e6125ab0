"""``python -m core compare``: test whether runs or groups differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from core.config.errors import ConfigError
from core.utils.output import put
from results.commands import shared

if TYPE_CHECKING:
    from results.comparison.comparison import Comparison
    from results.comparison.outcome import Outcome


@click.command(context_settings=shared.SETTINGS)
@click.argument("specs", metavar="A B [B...]", nargs=-1)
@shared.metric_option
@shared.where_option
@click.option(
    "--primary",
    metavar="NAME",
    multiple=True,
    help="Measures that are tested, by name or label; * matches any text; may be repeated.  [default: those of "
    "--metric, else those whose role is primary]",
)
@click.option(
    "--group", "whole_group", is_flag=True, help="If A or B is a run, use all runs that differ from it only in seed."
)
@click.option(
    "--test",
    "method",
    type=click.Choice(["auto", "paired", "welch", "samples"]),
    default="auto",
    show_default=True,
    help="Test to use. auto: paired over shared seeds, or over shared samples of two single runs; else Welch's test.",
)
@click.option(
    "--detect", metavar="DELTA", type=float, help="Also print the seeds needed to detect this difference (80% power)."
)
@click.option(
    "--equivalent-within",
    "margin",
    metavar="DELTA",
    type=float,
    help="Also test for equivalence: whether the difference lies within ± DELTA (two one-sided tests).",
)
@click.option(
    "--robust", is_flag=True, help="Use rank tests; also show interquartile means, medians and permutation tests."
)
@click.option("--sequential", is_flag=True, help="Use a test that stays valid if it is repeated after each new seed.")
@shared.level_option
@click.option(
    "--ignore",
    type=click.Choice(["n_samples", "sampler", "checkpoint", "ema_half_life_images"]),
    multiple=True,
    help="Compare measures even if they differ in this field, on which their expected values may depend. sampler means "
    "all settings of the sampler except n_steps; checkpoint and ema_half_life_images mean the weights that were "
    "evaluated. May be repeated.",
)
@shared.split_by_option
@shared.strict_option
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shared.common_options
def compare(
    specs: tuple[str, ...],
    metrics: tuple[str, ...],
    primary: tuple[str, ...],
    where: tuple[str, ...],
    whole_group: bool,
    method: str,
    detect: float | None,
    margin: float | None,
    robust: bool,
    sequential: bool,
    level: float,
    ignore: tuple[str, ...],
    split_by: tuple[str, ...],
    strict: bool,
    style: str,
    experiments_dir: str | None,
) -> None:
    """Compare runs, or groups of runs that differ only in seed. The answer may be: cannot tell.

    A and B each select runs that differ only in seed. Each is a condition (model=unet, or "model=unet,
    learning_rate<1e-3") or one run: a path, a run id, a unique prefix of an id, or latest. Each B is compared with A.
    """
    if len(specs) < 2:
        raise ConfigError("compare needs A and B: two conditions, such as model=mlp model=unet, or two runs.")
    _check_detect(detect)
    _check_analysis(margin, robust, sequential, method)
    from results.comparison.analysis import Analysis
    from results.comparison.comparison import compare_groups
    from results.comparison.examine import examine
    from results.comparison.failed import only_failures
    from results.comparison.outcome import Outcome
    from results.environments import mixed_environments
    from results.hidden_differences import mixed_weights
    from results.run_files import without_garbage_collection
    from results.selection import select_group

    with without_garbage_collection():
        database = shared.open_database(experiments_dir, where)
        groups = [select_group(database, spec, whole_group=whole_group, split_by=split_by) for spec in specs]
        with shared.reporting_faults(groups):
            mixed = mixed_environments(run for group in groups for run in group.replicates.values())
            shared.refuse_mixed(mixed, strict)
            failed = only_failures(groups, level)
            comparable = [group for group in groups if group not in [one.b for one in failed]]
            comparisons, refused = (
                compare_groups(comparable, metrics, method, level, primary=primary, ignore=ignore)
                if len(comparable) > 1 or not failed
                else ([], [])
            )
            mixed |= mixed_weights(one.measurements() for one in comparisons)
            shared.refuse_mixed(mixed, strict)
            comparisons = examine(comparisons, Analysis(robust, sequential, margin))
            _check_one_measure("--detect", detect, comparisons)
            _check_one_measure("--equivalent-within", margin, comparisons)
            _put(Outcome(comparisons, refused, detect, failed, mixed), style)


def _put(outcome: Outcome, style: str) -> None:
    """Print the outcome as text or JSON, and how many archived runs it leaves out."""
    if style == "json":
        from results.comparison.json_form import comparisons_json

        put(comparisons_json(outcome))
    else:
        from results.comparison.text import comparisons_text

        put(comparisons_text(outcome))
    if hidden := shared.hidden_note():
        put(hidden, err=True)


def _check_one_measure(option: str, value: float | None, comparisons: Sequence[Comparison]) -> None:
    if value is not None and len({one.metadata for one in comparisons if one.in_family}) > 1:
        raise ConfigError(f"{option} is in the unit of one measure; name it with --metric.")


def _check_detect(detect: float | None) -> None:
    if detect is not None and not 0 < abs(detect) < float("inf"):
        raise ConfigError(f"--detect: got {detect:g}; accepted: a difference other than 0, in the measure's unit.")


def _check_analysis(margin: float | None, robust: bool, sequential: bool, method: str) -> None:
    if margin is not None and not 0 < margin < float("inf"):
        raise ConfigError(f"--equivalent-within: got {margin:g}; accepted: a positive number in the measure's unit.")
    given = [("--equivalent-within", margin is not None), ("--robust", robust), ("--sequential", sequential)]
    names = [name for name, is_given in given if is_given]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)} are different tests; choose one.")
    if method == "samples" and (robust or sequential):
        raise ConfigError(f"{names[0]} tests runs, so --test samples does not go with it.")
