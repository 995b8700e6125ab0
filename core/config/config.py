"""What a run is asked to do (ModelConfig), and where and on what it runs (GlobalConfig)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from core.config import rules
from core.config.errors import ConfigError
from core.config.rules import Rule


def _normalised(rule: Rule) -> Callable[[object], object]:
    """Return a converter that leaves a refused value as it came, so that all faults can be reported together."""

    def convert(value: object) -> object:
        try:
            return rule.check(value)
        except ValueError:
            return value

    return convert


def option(default: Any, *, help: str, rule: Rule, cli: bool = True) -> Any:
    """Define one config field.

    Args:
        default: The value, or an ``attrs.Factory``.
        help: One line for ``--help``, with the unit.
        rule: What the field accepts.
        cli: Whether the command line offers it; False for what the trainer fills in.
    """
    return field(
        default=default,
        converter=_normalised(rule),
        metadata={"help": help, "rule": rule, "cli": cli},
    )


def rule_of(attribute: attrs.Attribute[Any]) -> Rule:
    """Return a config field's rule; TypeError for a field that was not made by ``option``."""
    rule = attribute.metadata.get("rule")
    if not isinstance(rule, Rule):
        raise TypeError(f"config field {attribute.name!r} has no rule; define it with core.config.option(...)")
    return rule


def describe_fault(where: str, value: object, rule: Rule) -> str:
    """Say what came, where, and what is accepted."""
    return f"{where}: got {value!r} ({type(value).__name__}); accepted: {rule.accepts}."


def check_fields(config: Any) -> list[str]:
    """Return one message for each field whose value its rule refuses."""
    faults = []
    for attribute in attrs.fields(type(config)):
        value, rule = getattr(config, attribute.name), rule_of(attribute)
        try:
            rule.check(value)
        except ValueError:
            faults.append(describe_fault(attribute.name, value, rule))
    return faults


@frozen(kw_only=True)
class ModelConfig:
    """The hyperparameters of one run; every model understands these.

    A model with options of its own subclasses this, adding fields with ``option`` and changing no default, and
    registers the class under ``pyml.configs``.

    Raises:
        ConfigError: One or more values are not accepted; all faults are named at once.
    """

    model: str = option("identity", rule=rules.text(), help="Model, by its plugin's name.")
    dataset: str = option("digits", rule=rules.text(), help="Data set, by its plugin's name.")
    data_dir: str | None = option(
        None, rule=rules.optional(rules.text()), help="Directory of images, for the data set folder."
    )
    seed: int = option(
        0, rule=rules.integer(0, 2**63 - 1), help="Seed of everything random but the split: weights, batches, noise."
    )
    split_seed: int = option(
        0, rule=rules.integer(0, 2**32 - 1), help="Seed of the split into training and held-out data."
    )
    learning_rate: float = option(1e-3, rule=rules.number(above=0), help="Adam's step size after warm-up.")
    batch_size: int = option(128, rule=rules.integer(1), help="Images per training step.")
    n_epochs: int = option(300, rule=rules.integer(1), help="Passes over the training data.")
    hidden_layer_sizes: tuple[int, ...] = option(
        (512, 512, 512), rule=rules.integers(1), help="Width of each hidden layer, in units."
    )
    warmup_steps: int = option(
        100, rule=rules.integer(0), help="Steps over which the learning rate rises from 0 to its full value."
    )
    max_grad_norm: float = option(
        1.0, rule=rules.number(above=0), help="Longest gradient, Euclidean; a longer one is scaled down to it."
    )
    precision: str = option(
        "float32",
        rule=rules.choice("float32", "bf16"),
        help="Arithmetic of training; bf16 by autocast.",
    )
    skip_nonfinite: bool = option(
        False,
        rule=rules.boolean(),
        help="Go on without a step whose gradient is not finite, rather than stop.",
    )
    ema_half_life_images: int = option(
        20_000, rule=rules.integer(1), help="Half-life of the moving average of the weights, in training images."
    )
    p_mean: float = option(-1.2, rule=rules.number(), help="Mean of ln(sigma) in training (EDM, table 1).")
    p_std: float = option(
        1.2, rule=rules.number(above=0), help="Standard deviation of ln(sigma) in training (EDM, table 1)."
    )
    sigma_data: float | None = option(
        None,
        rule=rules.optional(rules.number(above=0)),
        help="Standard deviation of the data, scaled to [-1, 1]; none measures it on the training images.",
    )
    sigma_min: float = option(0.002, rule=rules.number(above=0), help="Smallest non-zero noise level of the sampler.")
    sigma_max: float = option(80.0, rule=rules.number(above=0), help="Largest noise level of the sampler.")
    rho: float = option(
        7.0, rule=rules.number(above=0), help="Spacing of the sampler's levels; larger spends more steps at small ones."
    )
    sampler: str = option(
        "heun",
        rule=rules.choice("heun", "euler", "stochastic"),
        help="Sampler: EDM's algorithm 1, Euler's, or algorithm 2.",
    )
    s_churn: float = option(
        40.0, rule=rules.number(0), help="Noise added anew by the stochastic sampler (EDM, table 5)."
    )
    s_min: float = option(0.05, rule=rules.number(0), help="Smallest noise level at which it is added.")
    s_max: float = option(50.0, rule=rules.number(0), help="Largest noise level at which it is added.")
    s_noise: float = option(1.003, rule=rules.number(above=0), help="Its standard deviation.")
    n_steps: int = option(18, rule=rules.integer(2), help="Steps of the sampler.")
    n_samples: int = option(500, rule=rules.integer(0), help="Images to sample when evaluating.")
    exact_trace_up_to: int = option(
        16,
        rule=rules.integer(0),
        help="Values per image up to which the likelihood's trace is exact; each costs a backward pass per step.",
    )
    checkpoint_every_epochs: int = option(
        50, rule=rules.integer(1), help="Epochs between checkpoints; the last epoch always leaves one."
    )
    data_shape: tuple[int, ...] | None = option(
        None, rule=rules.optional(rules.integers(1)), cli=False, help="Shape of one x; the trainer fills it in."
    )
    n_classes: int | None = option(
        None, rule=rules.optional(rules.integer(0)), cli=False, help="Classes of the data; the trainer fills it in."
    )

    def __attrs_post_init__(self) -> None:
        faults = check_fields(self)
        if not faults and not self.sigma_min < self.sigma_max:
            faults = [f"sigma_min: got {self.sigma_min!r}; accepted: a number below sigma_max ({self.sigma_max!r})."]
        if faults:
            raise ConfigError(*faults)


def _experiments_dir() -> Path:
    return Path(os.environ.get("PYML_EXPERIMENTS_DIR") or "experiments")


@frozen(kw_only=True)
class GlobalConfig:
    """Where runs go and on which device they run: what may differ between machines without changing a number's name.

    Raises:
        ConfigError: One or more values are not accepted; all faults are named at once.
    """

    experiments_dir: Path = option(
        attrs.Factory(_experiments_dir),
        rule=rules.path(),
        help="Directory that holds the runs.  [environment: PYML_EXPERIMENTS_DIR; default: ./experiments]",
    )
    device: str = option("auto", rule=rules.device(), help="auto, cpu, cuda or cuda:N; auto takes a GPU if any.")

    def __attrs_post_init__(self) -> None:
        faults = check_fields(self)
        if faults:
            raise ConfigError(*faults)
