"""The configs of a sweep: every combination of the values asked for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.config.load import Layer, build_config
from core.diffusion.suggestions import Suggestion, suggestions_for, with_suggested

RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
MOST_CONFIGS = 10_000  # a typo such as seed=0..1000000 should cost a message, not a million files

Combination = dict[str, Any]


def parse_axis(text: str) -> tuple[str, list[str]]:
    """Parse one argument such as ``seed=0..4`` or ``learning_rate=1e-4,3e-4``.

    Values are separated by commas. ``A..B`` stands for the integers from A to B, both included. Where the values
    themselves hold commas, separate them by semicolons: ``hidden_layer_sizes=256,256;512,512``.

    Raises:
        ConfigError: There is no ``=``, no name or no value, or a range counts down.
    """
    name, equals, listed = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if not equals or not name.isidentifier():
        raise ConfigError(f"got {text!r}; accepted: FIELD=VALUES, such as learning_rate=1e-4,3e-4 or seed=0..4.")
    values = [
        value for part in listed.split(";" if ";" in listed else ",") for value in _expand_range(name, part.strip())
    ]
    if not values or "" in values:
        raise ConfigError(f"{name}: got {listed!r}, which holds an empty value; accepted: values separated by commas.")
    return name, values


def _expand_range(name: str, text: str) -> list[str]:
    match = RANGE.fullmatch(text)
    if match is None:
        return [text]
    first, last = int(match[1]), int(match[2])
    if first > last:
        raise ConfigError(f"{name}: got the range {text}, which is empty; write the smaller number first.")
    if last - first >= MOST_CONFIGS:
        raise ConfigError(f"{name}: got the range {text}, which holds more than {MOST_CONFIGS:,} values.")
    return [str(value) for value in range(first, last + 1)]


def file_axes(table: object, source: str) -> dict[str, list[Any]]:
    """Return the axes of a config file's ``[sweep]`` table: a list of values, or text such as ``"0..4"``, per field.

    Raises:
        ConfigError: The table or one of its entries is of another type, or a list is empty.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: sweep: got a {type(table).__name__}; accepted: a table of fields.")
    axes: dict[str, list[Any]] = {}
    for name, values in table.items():
        if isinstance(values, str):
            axes[name] = [*parse_axis(f"{name}={values}")[1]]
        elif isinstance(values, list) and values:
            axes[name] = values
        else:
            raise ConfigError(f"{source}: sweep: {name}: got {values!r}; accepted: a list of values, or text as 0..4.")
    return axes


def expand(axes: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """Return every combination of the axes' values; the last axis changes fastest.

    Raises:
        ConfigError: There are more than ``MOST_CONFIGS`` combinations.
    """
    size = 1
    for values in axes.values():
        size *= len(values)
    if size > MOST_CONFIGS:
        raise ConfigError(f"the sweep has {size:,} configs; accepted: at most {MOST_CONFIGS:,}. Split it into several.")
    return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())]


def build_configs(layers: Sequence[Layer], axes: Mapping[str, Sequence[Any]]) -> list[ModelConfig]:
    """Return the config of each combination, built on the layers that all of them share.

    Args:
        layers: What every run of the sweep has in common, later layers winning.
        axes: The values of each field that changes.

    Raises:
        ConfigError: A field or a value is not accepted, a field is given both as an option and as an axis, or two
            combinations give the same config. All faults are reported at once.
    """
    _check_given_once(layers, axes)
    configs: list[ModelConfig] = []
    faults: dict[str, None] = {}
    for combination in expand(axes):
        try:
            configs.append(_build(layers, combination))
        except ConfigError as error:
            faults.update(dict.fromkeys(error.faults))
    if faults:
        raise ConfigError(*faults)
    _check_distinct(configs)
    return configs


def _check_given_once(layers: Sequence[Layer], axes: Mapping[str, Sequence[Any]]) -> None:
    given = {name for layer in layers if layer.is_text for name in layer.values}
    if both := sorted(given & set(axes)):
        raise ConfigError(f"{', '.join(both)}: given both as an option and as values to sweep over; give one of them.")


def suggestions_in(layers: Sequence[Layer], axes: Mapping[str, Sequence[Any]]) -> list[Suggestion]:
    """Return what was set in some of the configs that ``build_configs`` returns, each once."""
    found = [suggestions_for(_layers(layers, combination)) for combination in expand(axes)]
    return list({str(one): one for several in found for one in several}.values())


def _layers(layers: Sequence[Layer], combination: Combination) -> list[Layer]:
    text = {name: value for name, value in combination.items() if isinstance(value, str)}
    other = {name: value for name, value in combination.items() if name not in text}
    return [*layers, Layer("sweep", other), Layer("sweep", text, is_text=True)]


def _build(layers: Sequence[Layer], combination: Combination) -> ModelConfig:
    every = _layers(layers, combination)
    model = next((layer.values["model"] for layer in reversed(every) if "model" in layer.values), ModelConfig().model)
    config = build_config(plugins.config_class(str(model)), *with_suggested(every))
    plugins.check_data(config)
    return config


def _check_distinct(configs: Sequence[ModelConfig]) -> None:
    first: dict[ModelConfig, int] = {}
    for index, config in enumerate(configs):
        if config in first:
            raise ConfigError(
                f"combinations {first[config]} and {index} of the sweep give the same config; name each value once."
            )
        first[config] = index


def asked_for(config: ModelConfig) -> dict[str, Any]:
    """Return the fields that a config file may hold: all but those that the trainer finds in the data."""
    return {field.name: getattr(config, field.name) for field in attrs.fields(type(config)) if field.metadata["cli"]}
