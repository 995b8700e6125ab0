"""Training with torch.compile: the model is compiled before anything is written, so that a failure costs no run."""

from __future__ import annotations

import math
from typing import Any

import torch

from core.config.errors import ConfigError
from core.diffusion.datasets.base import Batches
from core.diffusion.training.draws import draws_of_batch
from core.diffusion.training.random_state import random_states, set_random_states
from core.diffusion.training.state import TrainingState

BACKEND = "inductor"
#: Dropout then draws the same numbers as without compilation.
OPTIONS: dict[str, dict[str, Any]] = {"inductor": {"fallback_random": True}}
COMPILERS = ("torch._dynamo", "torch._inductor", "torch._functorch")


def compile_model(state: TrainingState, batches: Batches) -> None:
    """Compile forward and backward of the model on one batch, and leave the state as it was.

    Only training uses the compiled code: copies of the model, such as the averaged one, are not compiled.

    Args:
        state: The state; its weights and the random generators do not change.
        batches: The training images.

    Raises:
        ConfigError: The model cannot be compiled.
    """
    before, buffers = random_states(state.device), [buffer.clone() for buffer in state.model.buffers()]
    state.model.compile(backend=BACKEND, options=OPTIONS.get(BACKEND))
    state.model.train()
    n = min(state.config.batch_size, state.n_images)
    n_own = math.ceil(n / state.config.accumulate / state.ranks.world_size)  # as many as a part of a step has
    images, labels = batches.take(torch.arange(n_own))
    draws = draws_of_batch(state, n_own)
    try:
        with torch.autocast(state.device.type, torch.bfloat16, enabled=state.config.precision == "bf16"):
            losses = state.model.loss(images, draws.noise, draws.sigma, labels)
        torch.autograd.backward(losses.mean())
    except Exception as error:
        if not type(error).__module__.startswith(COMPILERS):
            raise  # of the model itself
        cause = getattr(error, "inner_exception", error)
        reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        raise ConfigError(
            f"compile: model {state.config.model!r} could not be compiled ({reason}). On a CPU, torch.compile needs a "
            "C++ compiler, such as g++. Train without it: --no-compile."
        ) from error
    finally:
        state.model.zero_grad()
        with torch.no_grad():  # such as the statistics of batch norm
            for buffer, saved in zip(state.model.buffers(), buffers, strict=True):
                buffer.copy_(saved)
        set_random_states(before, state.device)
