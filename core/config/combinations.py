"""Combinations of config fields that are not accepted, where each value by itself is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.config.config import ModelConfig


def schedule_name(config: ModelConfig) -> str:
    """Return the name of the schedule that the sampler follows: the one given, or that of the family."""
    return config.schedule or ("edm" if config.family == "edm" else "flow")


def combination_faults(config: ModelConfig) -> list[str]:
    """Return one message for each combination of values that is not accepted, where each value by itself is."""
    faults = [*_sampler_faults(config), *_meanflow_faults(config)]
    if not config.sigma_min < config.sigma_max:
        faults.append(
            f"sigma_min: got {config.sigma_min!r}; accepted: a number below sigma_max ({config.sigma_max!r})."
        )
    # The config class of a model that cannot be guided need not have these fields.
    hides_labels, uses_labels = getattr(config, "label_dropout", 0.0) > 0, getattr(config, "class_conditional", True)
    if hides_labels and not uses_labels:
        faults.append("label_dropout: a model without class_conditional has no labels to hide; accepted: 0.")
    if config.guidance != 1 and (not hides_labels or config.n_classes == 0):
        why = "the data have no classes" if hides_labels else "the model is not trained with label_dropout"
        faults.append(
            f"guidance: got {config.guidance!r}, but {why}; accepted: 1. Try: --label-dropout 0.1 in training."
        )
    if config.flip and config.data_shape is not None and len(config.data_shape) != 3:
        faults.append("flip: the data are no images, so there is nothing to mirror; accepted: false.")
    return faults


def _sampler_faults(config: ModelConfig) -> list[str]:
    faults, schedule = [], schedule_name(config)
    if config.sampler == "stochastic" and schedule != "edm":
        faults.append(
            f"sampler: got 'stochastic', which needs schedule 'edm'; accepted with {schedule!r}: {_others(config)}."
        )
    if config.sampler == "meanflow" and config.family != "meanflow":
        faults.append(
            f"sampler: got 'meanflow', which needs a model of family 'meanflow'; accepted with {config.family!r}: "
            f"{_others(config)}."
        )
    elif config.sampler == "meanflow" and schedule != "flow":
        faults.append(
            f"schedule: got {schedule!r}; accepted with sampler 'meanflow': 'flow'. Or try another: --sampler heun."
        )
    if config.sampler == "meanflow" and config.guidance != 1:
        faults.append(
            f"guidance: got {config.guidance!r}; accepted with sampler 'meanflow', whose average velocities cannot be "
            "combined like scores: 1. Try: --sampler heun."
        )
    if config.n_steps < 2 and schedule == "edm":
        faults.append(
            f"n_steps: got {config.n_steps!r} (int); accepted: an integer, at least 2 with schedule 'edm', at least 1 "
            "with 'flow'. Try: --n-steps 18."
        )
    return faults


def _others(config: ModelConfig) -> str:
    """Return the samplers that go with the config's family and schedule."""
    schedule = schedule_name(config)
    stochastic = ["stochastic"] if schedule == "edm" else []
    meanflow = ["meanflow"] if config.family == "meanflow" and schedule == "flow" else []
    return ", ".join(map(repr, ["heun", "euler", *stochastic, *meanflow]))


def _meanflow_faults(config: ModelConfig) -> list[str]:
    """Return what the family MeanFlow does not support in training."""
    faults = []
    if config.family == "meanflow" and config.weighting != "standard":
        faults.append(f"weighting: got {config.weighting!r}; accepted with family 'meanflow': 'standard'.")
    if config.family == "meanflow" and config.compile:
        faults.append("compile: got True; family 'meanflow' is trained without torch.compile. Try: --no-compile.")
    return faults
