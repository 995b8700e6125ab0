"""``pyml-eval``: evaluate a run; every result with its error."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from core import __version__, plugins
from core.commands.completion import complete_plugins
from core.commands.shards import device_of_process, evaluate_share, parse_share, share_of_process
from core.commands.target import find_run
from core.config.config import GlobalConfig, ModelConfig
from core.config.errors import ConfigError
from core.config.load import Layer, build_config
from core.config.options import debug_option, evaluation_options, experiments_dir_option
from core.runs.completion import complete_runs
from core.utils.output import say

if TYPE_CHECKING:
    from core.utils.results import ResultCollection


FLAGS = ("--debug", "--")  # options without a value: the word after one may be the run


class EvalCommand(click.Command):
    """Offers an option for each config field of the run's model that changes only evaluations."""

    OWN = frozenset({"n_steps", "n_samples"})  # fields with an option of the command's own
    GIVEN = "pyml.given"
    _CLASS = "pyml.config_class"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the config class of the run, parse with its options, and keep the values in ``ctx.meta[GIVEN]``."""
        ctx.meta[self._CLASS] = _config_class(args)
        rest = super().parse_args(ctx, args)
        names = [option.name for option in evaluation_options(ctx.meta[self._CLASS], self.OWN)]
        ctx.meta[self.GIVEN] = {
            name: value for name in names if name and (value := ctx.params.pop(name, None)) is not None
        }
        return rest

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own options and those of the config class."""
        own = super().get_params(ctx)
        return [*own[:-1], *evaluation_options(ctx.meta.get(self._CLASS, ModelConfig), self.OWN), own[-1]]


def _config_class(args: list[str]) -> type[ModelConfig]:
    """Return the config class of the run that the arguments name; ModelConfig where none of them is a run."""
    from core.runs.config_file import CONFIG, read_saved_config
    from core.runs.directory import resolve_run

    everywhere = GlobalConfig()
    for before, argument in zip(["", *args], args, strict=False):
        if before == "--experiments-dir" or argument.startswith("--experiments-dir="):
            everywhere = GlobalConfig(experiments_dir=Path(argument.removeprefix("--experiments-dir=")))
    pairs = list(zip(["", *args], args, strict=False))
    words = [word for before, word in pairs if not word.startswith("-") and (before[:2] != "--" or "=" in before)]
    words += [word for before, word in pairs if before in FLAGS]
    for word in words:
        with contextlib.suppress(ConfigError, plugins.PluginError):  # the command itself reports what is wrong
            run_path = resolve_run(word, everywhere.experiments_dir)
            return plugins.config_class(read_saved_config(run_path / CONFIG.name).model)
    return ModelConfig


@click.command(cls=EvalCommand, context_settings={"help_option_names": ["-h", "--help"]})
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
    "--n-steps", metavar="K", multiple=True, type=click.IntRange(2), help="Number of sampler steps. May be repeated."
)
@click.option("--n-samples", metavar="K", type=click.IntRange(0), help="Number of images to sample.")
@click.option("--seed", metavar="S", type=click.IntRange(0), help="Seed of the evaluation.  [default: the run's]")
@click.option(
    "--weights",
    type=click.Choice(["ema", "raw"]),
    default="ema",
    show_default=True,
    help="Weights to evaluate: their moving average (ema) or the last ones (raw).",
)
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
    help="Evaluate share I of N of the samples, as one of N processes; the last one merges. torchrun sets it.",
)
@click.option("--device", metavar="D", help="Device: auto, cpu, cuda or cuda:N.  [default: auto]")
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
    features: str,
    shard: tuple[int, int] | None,
    device: str | None,
    experiments_dir: str | None,
) -> None:
    """Evaluate a run and add its results, each with its error, to the run's directory.

    RUN is a path, a run id, the beginning of one run's id, or latest. Without --evaluator, all evaluators of
    pyml-core that support the run are used.
    """
    for name in evaluators:
        plugins.find(plugins.EVALUATORS, name)
    plugins.find(plugins.FEATURES, features)
    if not evaluators and not plugins.in_the_box(plugins.EVALUATORS):
        raise ConfigError("no evaluator is registered. Is pyml-core installed? Try: pip install -e .")
    run_path, config, place = find_run(run, device, experiments_dir)
    changes = _changes(config, ctx.meta[EvalCommand.GIVEN])
    _note_unfinished(run_path)

    from core.commands.progress import reporting
    from core.diffusion.eval import Evaluator
    from core.diffusion.findings import EvaluationError
    from core.utils.signals import StopSignals

    say(f"Evaluating {run_path}")
    with StopSignals(deferred=False), reporting() as progress:
        evaluator = Evaluator(
            config,
            run_path,
            evaluators=evaluators,
            n_steps=n_steps,
            n_samples=n_samples,
            seed=seed,
            changes=changes,
            weights=weights,
            device=device_of_process(place),
            features=features,
            progress=progress,
            note=lambda text: say(f"Note: {text}", err=True),
        )
        share = shard or share_of_process()
        try:
            results = evaluate_share(evaluator, share) if share else evaluator.evaluate()
        except EvaluationError as error:
            _summarise(error.results, run_path)
            raise
    if results is not None:
        _summarise(results, run_path)


def _note_unfinished(run_path: Path) -> None:
    from core.runs.status import run_status

    status = run_status(run_path)
    if status.state != "finished":
        reason = f": {status.reason}" if status.reason else ""
        say(f"Note: the training of this run is {status.state}{reason}.", err=True)


def _changes(config: ModelConfig, given: dict[str, str]) -> dict[str, Any]:
    """Return the values that the command line gives to fields of the run's config.

    Raises:
        ConfigError: Values are not accepted; all faults are named at once.
    """
    offered = [field.name for field in attrs.fields(type(config)) if field.metadata.get("cli", True)]
    saved = Layer("config.json", {name: getattr(config, name) for name in offered})
    changed = build_config(type(config), saved, Layer("command line", given, is_text=True))
    return {name: getattr(changed, name) for name in given}


def _summarise(results: ResultCollection, run_path: Path) -> None:
    if len(results):
        say(f"\n{results}\n\nSaved in {run_path / 'results.jsonl'}")
