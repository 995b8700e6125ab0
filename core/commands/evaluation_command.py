"""A click command on a run, with options for the config fields of its model that change only evaluations."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import click

from core import plugins
from core.config.config import GlobalConfig, ModelConfig
from core.config.errors import ConfigError
from core.config.load import Layer, build_config
from core.config.options import evaluation_options
from core.utils.output import say

FLAGS = ("--debug", "--")  # options without a value: the word after one may be the run


class EvaluationCommand(click.Command):
    """Offers an option for each config field of the run's model that changes only evaluations."""

    OWN: ClassVar[frozenset[str]] = frozenset({"n_steps", "n_samples"})  # not offered as the config has them
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


def changed_fields(ctx: click.Context, config: ModelConfig) -> dict[str, Any]:
    """Return the values that the command line gives to fields of the run's config.

    Raises:
        ConfigError: Values are not accepted; all faults are named at once.
    """
    given = ctx.meta[EvaluationCommand.GIVEN]
    offered = [field.name for field in attrs.fields(type(config)) if field.metadata.get("cli", True)]
    saved = {name: getattr(config, name) for name in offered}
    if steps := ctx.params.get("n_steps"):  # the run's own number need not go with the schedule that was asked for
        saved["n_steps"] = steps[0] if isinstance(steps, tuple) else steps
    layers = Layer("config.json", saved), Layer("command line", given, is_text=True)
    changed = build_config(type(config), *layers)
    return {name: getattr(changed, name) for name in given}


def note_steps_of_meanflow(config: ModelConfig, changes: Mapping[str, Any], *, are_given: bool) -> None:
    """Print a note if another sampler takes the one step that suits MeanFlow alone.

    Args:
        config: The run's config.
        changes: The fields that the command line changes.
        are_given: Whether it gives the number of steps.
    """
    sampler = changes.get("sampler", "meanflow")
    if config.sampler == "meanflow" and sampler != "meanflow" and config.n_steps == 1 and not are_given:
        default = attrs.fields(ModelConfig).n_steps.default
        say(f"Note: {sampler} takes 1 step, the run's number for meanflow. Try: --n-steps {default}.", err=True)
