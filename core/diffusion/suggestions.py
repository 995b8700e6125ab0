"""Defaults that suit a data set or a family better than those of the config. ``--help`` imports this: no torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from core.config.config import ModelConfig
from core.config.load import Layer


@frozen
class Suggestion:
    """Fields that suit some runs. Options and config files override them.

    Attributes:
        name: What messages call these runs.
        runs: The fields by which the runs are known, and their values.
        fields: The suggested values.
    """

    name: str
    runs: Mapping[str, str]
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        """Return the line that says which fields were set."""
        fields = ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"Set for {self.name}, unless you give them: {fields}"


#: A later one may depend on what an earlier one sets. Messages join those of one name.
SUGGESTIONS = (
    Suggestion(
        "mnist5k",
        {"dataset": "mnist5k", "model": "unet"},
        {"patch_size": 2, "batch_size": 32, "n_epochs": 60, "learning_rate": 2e-3, "lr_schedule": "cosine"},
    ),
    Suggestion("family meanflow", {"family": "meanflow"}, {"sampler": "meanflow"}),
    Suggestion("family meanflow", {"family": "meanflow", "sampler": "meanflow"}, {"n_steps": 1}),
    Suggestion("family meanflow", {"family": "meanflow", "t_distribution": "logit_normal"}, {"logit_mean": -0.4}),
)


def suggestions_for(layers: Sequence[Layer]) -> tuple[Suggestion, ...]:
    """Return what the command line suggests for a config, without the fields that were given.

    The config of an earlier run gets no suggestions, so that the run can be repeated.

    Args:
        layers: What was asked for, later layers winning. A field that is not given has ModelConfig's default.
    """
    if any(layer.is_complete for layer in layers):
        return ()
    given = {name: value for layer in layers for name, value in layer.values.items()}
    asked_for = attrs.asdict(ModelConfig()) | given
    suggested: dict[str, Suggestion] = {}
    for one in SUGGESTIONS:
        missing = {name: value for name, value in one.fields.items() if name not in given}
        if missing and all(asked_for[name] == value for name, value in one.runs.items()):
            asked_for |= missing
            before = suggested[one.name].fields if one.name in suggested else {}
            suggested[one.name] = attrs.evolve(one, fields={**before, **missing})
    return tuple(suggested.values())


def with_suggested(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers of a config, below them the fields that suit it. See ``suggestions_for``."""
    return [*(Layer(f"suggested for {one.name}", one.fields) for one in suggestions_for(layers)), *layers]
