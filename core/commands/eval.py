"""``pyml-eval``: evaluate a run; every result with its error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core import __version__, plugins
from core.commands.completion import complete_plugins
from core.commands.evaluation_command import EvaluationCommand, changed_fields, note_steps_of_meanflow
from core.commands.shards import device_of_process, evaluate_share, parse_share, share_of_process
from core.commands.target import checkpoint_option, device_option, find_run, half_life_option, weights_option
from core.config.config import GlobalConfig
from core.config.errors import ConfigError
from core.config.load import Layer, build_config
from core.config.options import debug_option, experiments_dir_option, threads_option, workers_option
from core.runs.completion import complete_runs
from core.utils.output import say

if TYPE_CHECKING:
    from core.diffusion.eval import Evaluator
    from core.utils.results import ResultCollection


@click.command(cls=EvaluationCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.option(
    "--evaluator",
    "evaluators",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_plugins(plugins.EVALUATORS),
    help="Evaluator to run. May be repeated.",
)
@click.option(
    "--n-steps", metavar="K", multiple=True, type=click.IntRange(1), help="Number of sampler steps. May be repeated."
)
@click.option("--n-samples", metavar="K", type=click.IntRange(0), help="Number of images to sample.")
@click.option("--seed", metavar="S", type=click.IntRange(0), help="Seed of the evaluation.  [default: the run's]")
@weights_option
@half_life_option
@checkpoint_option
@click.option(
    "--features",
    metavar="NAME",
    default="pixels",
    show_default=True,
    help="Feature space in which samples are compared with images.",
)
@click.option(
    "--shard",
    metavar="I/N",
    callback=parse_share,
    help="Evaluate share I of N of the samples, as one of N processes; the last one merges. Not needed under torchrun.",
)
@click.option(
    "--tracker",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_plugins(plugins.TRACKERS),
    help="Tracker that gets the results, such as tensorboard. May be repeated.  [environment: PYML_TRACKER]",
)
@device_option
@threads_option
@workers_option
@experiments_dir_option
@debug_option
@click.version_option(__version__, prog_name=plugins.OURS)
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    run: str,
    evaluators: tuple[str, ...],
    n_steps: tuple[int, ...],
    n_samples: int | None,
    seed: int | None,
    weights: str,
    ema_half_life_images: int | None,
    checkpoint: str,
    features: str,
    shard: tuple[int, int] | None,
    tracker: tuple[str, ...],
    device: str | None,
    threads: int | None,
    n_workers: int | None,
    experiments_dir: str | None,
) -> None:
    """Evaluate a run and add its results, each with its error, to the run's directory.

    RUN is a path, a run id, a unique prefix of an id, or latest. Without --evaluator, all evaluators of
    pyml-core that support the run are used.
    """
    _check_plugins(evaluators, features)
    run_path, config, place = find_run(run, device, experiments_dir)
    changes = changed_fields(ctx, config)
    share = shard or share_of_process()
    is_quiet = shard is None and share is not None and share[0] > 1  # the first process of torchrun speaks for all
    if not is_quiet:
        _note_unfinished(run_path)
        note_steps_of_meanflow(config, changes, are_given=bool(n_steps))

    from core.commands.progress_bar import reporting
    from core.diffusion.datasets.workers import use_workers
    from core.diffusion.devices import use_threads
    from core.diffusion.eval import Evaluator
    from core.utils.signals import StopSignals

    use_threads(threads)
    use_workers(n_workers)
    if not is_quiet:
        say(f"Evaluating {run_path}")
    with StopSignals(deferred=False), reporting(quiet=is_quiet) as progress:
        evaluator = Evaluator(
            config,
            run_path,
            evaluators=evaluators,
            n_steps=n_steps,
            n_samples=n_samples,
            seed=seed,
            changes=changes,
            weights=weights,
            ema_half_life_images=ema_half_life_images,
            checkpoint=checkpoint,
            device=device_of_process(place),
            features=features,
            progress=progress,
            note=lambda text: say(f"Note: {text}", err=True),
            trackers=_trackers(tracker),
        )
        results = _results(evaluator, share)
    if results is not None:
        _summarise(results, run_path)


def _check_plugins(evaluators: Sequence[str], features: str) -> None:
    """Find the plugins that the command names; if it names no evaluator, there must be some to choose from."""
    for name in evaluators:
        plugins.find(plugins.EVALUATORS, name)
    plugins.find(plugins.FEATURES, features)
    if not evaluators and not plugins.in_the_box(plugins.EVALUATORS):
        raise ConfigError("no evaluator is registered. Is pyml-core installed? Try: pip install -e .")


def _results(evaluator: Evaluator, share: tuple[int, int] | None) -> ResultCollection | None:
    """Evaluate; print what succeeded if an evaluator fails. None: a share that other shares are missing for."""
    from core.diffusion.evaluator_results import EvaluationError

    try:
        return evaluate_share(evaluator, share) if share else evaluator.evaluate()
    except EvaluationError as error:
        _summarise(error.results, evaluator.run_path)
        raise


def _trackers(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the trackers that the command line names; None, those of the environment, where it names none."""
    if not given:
        return None
    return build_config(GlobalConfig, Layer("command line", {"tracker": ",".join(given)}, is_text=True)).tracker


def _note_unfinished(run_path: Path) -> None:
    from core.runs.status import run_status

    status = run_status(run_path)
    if status.state != "finished":
        reason = f": {status.reason}" if status.reason else ""
        say(f"Note: the training of this run is {status.state}{reason}.", err=True)


def _summarise(results: ResultCollection, run_path: Path) -> None:
    if len(results):
        say(f"\n{results}\n\nSaved in {run_path / 'results.jsonl'}")
