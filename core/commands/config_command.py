"""A click command whose options are the fields of the chosen model's config class."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from attrs import frozen

from core import plugins
from core.commands.completion import with_completion
from core.config.config import GlobalConfig, ModelConfig
from core.config.errors import ConfigError
from core.config.load import Layer, build_config
from core.config.options import options_of
from core.diffusion.suggestions import Suggestion, suggestions_for, with_suggested
from core.runs.config_file import CONFIG, SavedConfig, read_config_file, read_saved_config

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Resolved:
    """The configs that a command asks for.

    Attributes:
        config: The run's config.
        global_config: Where and on what device it runs.
        given: The fields that came from the config file or the command line, by name.
        on_command_line: The names of those that came from the command line.
        suggested: What was set because it suits the data set or the family.
    """

    config: ModelConfig
    global_config: GlobalConfig
    given: Mapping[str, Any]
    on_command_line: frozenset[str] = frozenset()
    suggested: tuple[Suggestion, ...] = ()


class ConfigCommand(click.Command):
    """Offers one option per config field; the callback finds the resolved configs in ``ctx.meta[RESOLVED]``.

    The name of the model is read from the arguments before they are parsed: from --model, else the --config file, else
    the run that --resume names, else ModelConfig's default.
    """

    RESOLVED = "pyml.resolved"
    _CLASS = "pyml.config_class"
    _FILE = "pyml.config_file"
    _FAULTS = "pyml.faults"
    _SAVED = "pyml.saved"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Choose the config class, parse with its options, and resolve the layers, reporting all faults at once."""
        if ctx.resilient_parsing:  # the shell asks for completions of a line that is not finished
            with contextlib.suppress(ConfigError, plugins.PluginError):
                ctx.meta[self._CLASS] = self._choose_class(ctx, args)
            return super().parse_args(ctx, args)
        if len(_given_values(args, "--config")) > 1:
            files = ", ".join(_given_values(args, "--config"))
            raise click.UsageError(f"--config was given more than once: {files}. Give one file; options override it.")
        ctx.meta[self._CLASS] = self._choose_class(ctx, args)
        rest = super().parse_args(ctx, args)
        self.resolve(ctx)
        return rest

    def resolve(self, ctx: click.Context) -> None:
        """Build the configs from their layers and leave them in ``ctx.meta[RESOLVED]``."""
        ctx.meta[self.RESOLVED] = self._resolve(ctx)

    def given(self, ctx: click.Context) -> tuple[Layer, Layer]:
        """Take the fields that the command line gave from ``ctx.params``: those of the config, and of GlobalConfig."""
        config, everywhere = (
            Layer("command line", _given(ctx, cls), is_text=True) for cls in (ctx.meta[self._CLASS], GlobalConfig)
        )
        return config, everywhere

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own options, those of the config class, and those of GlobalConfig."""
        own = super().get_params(ctx)
        cls = ctx.meta.get(self._CLASS, ModelConfig)
        fields = [with_completion(option) for option in [*options_of(cls), *options_of(GlobalConfig)]]
        return [*own[:-1], *fields, own[-1]]

    def _choose_class(self, ctx: click.Context, args: Sequence[str]) -> type[ModelConfig]:
        path, resume, named = _peek(args, "--config"), _peek(args, "--resume"), _peek(args, "--model")
        layers = read_config_file(Path(path)) if path else (Layer("", {}), Layer("", {}))
        ctx.meta[self._FILE] = layers
        model = named or layers[0].values.get("model", ModelConfig().model)
        if resume and not named:
            ctx.meta[self._SAVED] = saved = self._saved(resume, args, layers[1])
            model = saved.model or model
        try:
            return plugins.config_class(model) if isinstance(model, str) else ModelConfig
        except ConfigError as error:
            if {"-h", "--help"} & set(args):
                raise
            place = "--model: " if named else f"{path}: model: " if path else ""
            ctx.meta[self._FAULTS] = [f"{place}{fault}" for fault in error.faults]
            return ModelConfig  # every model has its fields: their faults are reported with this one

    @staticmethod
    def _saved(resume: str, args: Sequence[str], file: Layer) -> SavedConfig:
        from core.runs.directory import resolve_run

        directory = _peek(args, "--experiments-dir")
        layers = [file] + ([Layer("", {"experiments_dir": directory}, is_text=True)] if directory else [])
        where = build_config(GlobalConfig, *layers).experiments_dir
        saved = read_saved_config(resolve_run(resume, where) / CONFIG.name)
        plugins.check_installed(saved)
        return saved

    def _resolve(self, ctx: click.Context) -> Resolved:
        cls: type[ModelConfig] = ctx.meta[self._CLASS]
        file, file_everywhere = ctx.meta[self._FILE]
        line, line_everywhere = self.given(ctx)
        config, faults = _collect(cls, *with_suggested([file, line]))
        if faults and (saved := ctx.meta.get(self._SAVED)) is not None:
            # Values may fit those of the run only, such as a scale of guidance for a model that was trained for it.
            config, faults = _collect(cls, _asked_for(saved.build(cls)), file, line)
        everywhere, more = _collect(GlobalConfig, file_everywhere, line_everywhere)
        every = [*ctx.meta.get(self._FAULTS, []), *faults, *more, *_dataset_faults(file, line)]
        if every:
            raise ConfigError(*every)
        given = {**file.values, **line.values}
        return Resolved(config, everywhere, given, frozenset(line.values), suggestions_for([file, line]))


def _asked_for(config: ModelConfig) -> Layer:
    """Return a saved config as a layer, without what training has found in the data."""
    return Layer(CONFIG.name, attrs.asdict(config, filter=lambda field, _value: field.metadata.get("cli", True)))


def _dataset_faults(*layers: Layer) -> list[str]:
    """Return what is wrong with the data set's name, if anything."""
    naming = [layer for layer in layers if isinstance(layer.values.get("dataset"), str)]
    try:
        if naming:
            plugins.find(plugins.DATASETS, naming[-1].values["dataset"])
    except ConfigError as error:
        return [f"{naming[-1].where('dataset')}: {fault}" for fault in error.faults]
    return []


def _collect(cls: type[Any], *layers: Layer) -> tuple[Any, tuple[str, ...]]:
    try:
        return build_config(cls, *layers), ()
    except ConfigError as error:
        return None, error.faults


def _given(ctx: click.Context, cls: type[Any]) -> dict[str, str]:
    names = [option.name for option in options_of(cls)]
    return {name: value for name in names if name and (value := ctx.params.pop(name, None)) is not None}


def _peek(args: Sequence[str], option: str) -> str | None:
    """Return the last value given to an option, before click has parsed the arguments."""
    return next(reversed(_given_values(args, option)), None)


def _given_values(args: Sequence[str], option: str) -> list[str]:
    values = []
    for index, argument in enumerate(args):
        if argument == "--":
            break
        if argument == option and index + 1 < len(args):
            values.append(args[index + 1])
        elif argument.startswith(f"{option}="):
            values.append(argument.partition("=")[2])
    return values
