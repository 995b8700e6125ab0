"""Checks whether training can continue from the content of a checkpoint, before any file of the run is changed."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from core.diffusion.training.checkpoints import BEST_SO_FAR, OTHER_EMAS
from core.utils.meters import Meter

N_WORDS = 624  # of the state of a Mersenne Twister, which Python and NumPy use


def check_continuable(saved: Mapping[str, Any], model: nn.Module, n_images: int, batch_size: int) -> None:
    """Check the progress, weights, optimiser, random generators and measures of a checkpoint.

    Args:
        saved: The checkpoint's content.
        model: The model that it is to continue with.
        n_images: Number of training images.
        batch_size: Images per step.

    Raises:
        ValueError, TypeError, LookupError: A part is not what training writes; the message says which.
    """
    _check_progress(saved, n_images, batch_size)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for name in ("weights", "ema"):
        _check_finite(saved[name], trained, name)
    for half_life, average in saved.get(OTHER_EMAS, {}).items():
        _check_finite(average, trained, f"{OTHER_EMAS} {half_life}")
    if BEST_SO_FAR in saved:
        _check_best(saved[BEST_SO_FAR], saved["step"])
    _check_optimizer(saved["optimizer"], list(trained.values()))
    _check_random(saved["random"])
    _check_measures(Meter.from_state_dict(saved["meter"]))


def _check_progress(saved: Mapping[str, Any], n_images: int, batch_size: int) -> None:
    step, epoch, order = _count(saved, "step"), _count(saved, "epoch"), saved["order"]
    n_seen = 0 if order is None else _count(saved, "n_seen")
    if order is not None:
        if not isinstance(order, Tensor) or order.dtype != torch.int64 or order.shape != (n_images,):
            raise ValueError(f"order: accepted: None, or int64 of shape ({n_images},), one per training image")
        if not torch.equal(order.sort().values, torch.arange(n_images)):
            raise ValueError("order: is not a permutation of the training images")
    if n_seen > n_images:
        raise ValueError(f"n_seen: got {n_seen}; accepted: up to {n_images}, the number of training images")
    expected = epoch * math.ceil(n_images / batch_size) + math.ceil(n_seen / batch_size)
    if step != expected:
        raise ValueError(f"step: got {step}, but epoch {epoch} and {n_seen} images of the next are {expected} steps")


def _check_best(best: Any, last_step: int) -> None:
    """Check the step and the loss of the best checkpoint so far."""
    step, loss = _count(_table(best, BEST_SO_FAR), "step"), best["loss"]
    if len(best) != 2 or step > last_step or type(loss) is not float or not math.isfinite(loss):
        raise ValueError(f"best: got {reprlib.repr(best)}; accepted: a step up to {last_step}, and a finite loss")


def _count(saved: Mapping[str, Any], name: str) -> int:
    value = saved[name]
    if type(value) is not int or value < 0:
        raise ValueError(f"{name}: got {reprlib.repr(value)}; accepted: an integer from 0 up")
    return value


def _table(value: Any, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{what}: got a {type(value).__name__}; accepted: a dict")
    return value


def _check_finite(tensors: Any, trained: Collection[str], what: str) -> None:
    """Refuse NaN, and infinities in what is trained: a buffer, such as a mask, may hold them."""
    for name, value in _table(tensors, what).items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            continue
        if value.isnan().any() or (name in trained and not value.isfinite().all()):
            raise ValueError(f"{what}: {name} holds values that are not finite")


def _check_optimizer(saved: Any, parameters: list[nn.Parameter]) -> None:
    """Check the state of Adam: two averages and a count for each parameter that has had a gradient."""
    state = _table(_table(saved, "optimizer")["state"], "optimizer")
    if not set(state) <= set(range(len(parameters))):
        raise ValueError(f"optimizer: has states for other parameters than the {len(parameters)} of the model")
    for index, of_one in state.items():
        _table(of_one, "optimizer")
        for name in ("exp_avg", "exp_avg_sq"):
            value = of_one[name]
            if not isinstance(value, Tensor) or value.shape != parameters[index].shape:
                raise ValueError(f"optimizer: {name} of parameter {index} does not have the parameter's shape")
            if value.dtype != parameters[index].dtype or not value.isfinite().all():
                raise ValueError(f"optimizer: {name} of parameter {index} holds no finite {parameters[index].dtype}")
        step = of_one["step"]
        if set(of_one) != {"exp_avg", "exp_avg_sq", "step"} or not float(step) >= 1 or not math.isfinite(float(step)):
            raise ValueError(
                f"optimizer: got step {reprlib.repr(step)} for parameter {index}, or entries that Adam does not have"
            )


def _check_random(states: Any) -> None:
    """Check the position and size of the generators' states, which NumPy does not; torch and Python check theirs."""
    name, keys, position, has_gauss, cached = _table(states, "random")["numpy"]
    is_state = isinstance(keys, Tensor) and keys.shape == (N_WORDS,) and keys.dtype == torch.int64
    if name != "MT19937" or not is_state or type(position) is not int or not 0 <= position <= N_WORDS:
        raise ValueError("random: the state of NumPy's generator is not one of MT19937")
    if keys.min() < 0 or keys.max() >= 2**32 or has_gauss not in (0, 1) or not math.isfinite(cached):
        raise ValueError("random: the state of NumPy's generator holds numbers beyond their range")
    _version, words, _gauss = states["python"]
    if not isinstance(words, Tensor) or words.shape != (N_WORDS + 1,):
        raise ValueError("random: the state of Python's generator does not have its size")


def _check_measures(meter: Meter) -> None:
    for name, result in meter.results().items():
        if meter.nan_count(name) or (result.n and not math.isfinite(result.mean)):
            raise ValueError(f"meter: {name} holds values that are not finite")
