"""Dummy run for models without training: dummy data, a dummy result, and a notice that says so."""

from __future__ import annotations

import torch
from torch import nn

from core import plugins
from core.diffusion.model import Denoiser
from core.utils.meters import Meter
from core.utils.results import ResultMetadata, ResultRecord

DUMMY_SHAPE = (4, 1, 8, 8)


def dummy_record(model: nn.Module, model_name: str, name: str) -> ResultRecord:
    """Pass dummy data through the model and return a dummy result.

    Args:
        model: The model.
        model_name: Its plugin's name.
        name: The result is called ``placeholder/<name>``.
    """
    x = torch.linspace(-1, 1, steps=256).reshape(DUMMY_SHAPE)
    with torch.no_grad():
        change = (model(x) - x).flatten(1).mean(1)
    meter = Meter("change")
    meter.update(change=change)
    about = {"measure": "mean of output - input", "model": model_name}
    metadata = ResultMetadata(f"placeholder/{name}", unit="dummy tensor", protocol=about)
    return ResultRecord(metadata, meter.result("change"))


def placeholder_notice(model: str) -> str:
    """Return a notice that the model is a placeholder, with the names of the models that can be trained."""
    others = [name for name in plugins.names(plugins.MODELS) if name != model and _is_trained(name)]
    choice = f"try --model {' or --model '.join(others)}" if others else "no model that can be trained is installed"
    return f"{model!r} is a placeholder: it is not trained and its results mean nothing. For a real model {choice}"


def _is_trained(model: str) -> bool:
    try:
        return issubclass(plugins.load(plugins.MODELS, model), Denoiser)
    except plugins.PluginError:  # broken, or registered twice: not to be recommended
        return False
