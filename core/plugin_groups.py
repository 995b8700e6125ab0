"""The groups of plugins, and what an entry point of each group must be."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

MODELS, CONFIGS, DATASETS, FEATURES, EVALUATORS, COMMANDS, TRACKERS = GROUPS = (
    "pyml.models",
    "pyml.configs",
    "pyml.datasets",
    "pyml.features",
    "pyml.evaluators",
    "pyml.commands",
    "pyml.trackers",
)
KIND = {
    MODELS: "model",
    CONFIGS: "config",
    DATASETS: "data set",
    FEATURES: "feature space",
    EVALUATORS: "evaluator",
    COMMANDS: "command",
    TRACKERS: "tracker",
}
TRACKER_METHODS = ("start", "curve", "result", "finish")
#: What each group accepts, as messages say it.
ACCEPTED = {
    MODELS: "a subclass of torch.nn.Module, made with (config)",
    CONFIGS: "a subclass of ModelConfig",
    DATASETS: "a callable (config, split)",
    FEATURES: "a callable (config, device)",
    EVALUATORS: "a class with the method evaluate(), made with (config, run_path)",
    COMMANDS: "a click command",
    TRACKERS: f"a class with the methods {', '.join(TRACKER_METHODS)}, made without arguments",
}
#: How many arguments the plugins that the library calls are called with.
N_ARGUMENTS = {MODELS: 1, DATASETS: 2, FEATURES: 2, EVALUATORS: 2, TRACKERS: 0}


def why_refused(group: str, loaded: Any) -> str | None:
    """Return what came and what is accepted if the object is not what the group accepts, else None."""
    if not _FITS[group](loaded):
        return f"is {loaded!r}; accepted: {ACCEPTED[group]}"
    if inspect.isabstract(loaded):
        missing = ", ".join(sorted(loaded.__abstractmethods__))
        return f"is {loaded!r}, which does not define {missing}; accepted: {ACCEPTED[group]}"
    if group in N_ARGUMENTS and (taken := _other_arguments(loaded, N_ARGUMENTS[group])) is not None:
        return f"is {loaded!r}, which takes {taken}; accepted: {ACCEPTED[group]}"
    return None


def _other_arguments(function: Any, n: int) -> str | None:
    """Return the parameters of a callable that cannot be called with ``n`` positional arguments, else None."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a callable written in C may not say what it takes
        return None
    try:
        signature.bind(*[None] * n)
    except TypeError:
        return str(signature)
    return None


def _is_torch_module(loaded: object) -> bool:
    """Return whether it is a subclass of torch.nn.Module; torch is not imported, for such a class has imported it."""
    module = getattr(sys.modules.get("torch.nn"), "Module", None)
    return isinstance(loaded, type) and module is not None and issubclass(loaded, module)


def _is_config(loaded: object) -> bool:
    from core.config.config import ModelConfig

    return isinstance(loaded, type) and issubclass(loaded, ModelConfig)


def _is_command(loaded: object) -> bool:
    import click

    return isinstance(loaded, click.Command)


def _is_tracker(loaded: object) -> bool:
    return isinstance(loaded, type) and all(callable(getattr(loaded, name, None)) for name in TRACKER_METHODS)


_FITS: dict[str, Callable[[object], bool]] = {
    MODELS: _is_torch_module,
    CONFIGS: _is_config,
    DATASETS: callable,
    FEATURES: callable,
    EVALUATORS: lambda loaded: isinstance(loaded, type) and callable(getattr(loaded, "evaluate", None)),
    COMMANDS: _is_command,
    TRACKERS: _is_tracker,
}
