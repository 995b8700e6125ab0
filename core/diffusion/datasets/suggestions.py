"""Defaults that suit a data set better than those of the config. ``--help`` imports this module: no torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from core.config.config import ModelConfig
from core.config.load import Layer

#: Fields by data set and model, for the command line. Options and config files override them.
SUGGESTED: Mapping[tuple[str, str], Mapping[str, Any]] = MappingProxyType(
    {
        ("mnist5k", "unet"): {
            "patch_size": 2,
            "batch_size": 32,
            "n_epochs": 60,
            "learning_rate": 2e-3,
            "lr_schedule": "cosine",
        },
    }
)


def with_suggested(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers of a config, below them the fields that suit its data set and model, if there are any.

    The config of an earlier run gets no suggestions, so that the run can be repeated.

    Args:
        layers: What was asked for, later layers winning. Without a model or data set, ModelConfig's defaults count.
    """
    values = {name: value for layer in layers for name, value in layer.values.items()}
    dataset, model = (str(values.get(name, getattr(ModelConfig(), name))) for name in ("dataset", "model"))
    suggested = {name: value for name, value in SUGGESTED.get((dataset, model), {}).items() if name not in values}
    if not suggested or any(layer.is_complete for layer in layers):
        return list(layers)
    return [Layer(f"suggested for {dataset}", suggested), *layers]


def suggestion_text(dataset: str, suggested: Mapping[str, Any]) -> str:
    """Return the line that says which fields were set for a data set."""
    fields = ", ".join(f"{name}={value}" for name, value in suggested.items())
    return f"Set for {dataset}, unless you give them: {fields}"
