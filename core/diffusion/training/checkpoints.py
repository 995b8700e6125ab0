"""Checkpoints: written whole or not at all, and loaded without running code."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from core.config.config import ModelConfig
from core.runs.files import replacing

CHECKPOINT_SCHEMA = "pyml.checkpoint/1"
KEYS = frozenset(
    {"schema", "model", "weights", "ema", "optimizer", "step", "epoch", "n_seen", "order", "random", "meter"}
)

EMA_WEIGHTS, RAW_WEIGHTS = WEIGHTS = ("ema", "raw")


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged, or of another model; the message says which."""


def checkpoint_path(run_path: Path) -> Path:
    """Return the path of a run's checkpoint."""
    return run_path / "checkpoints" / "last.pt"


def save_checkpoint(run_path: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint. After a crash at any moment, the old one or the new one is there, complete.

    Args:
        run_path: The run directory.
        state: One entry for each of ``KEYS`` but "schema": tensors, strings, numbers, None, and lists or dicts of them.
    """
    path = checkpoint_path(run_path)
    path.parent.mkdir(exist_ok=True)
    buffer = io.BytesIO()  # torch.save to a file reports a full disk as an unrelated RuntimeError
    torch.save({"schema": CHECKPOINT_SCHEMA, **state}, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def load_checkpoint(run_path: Path, config: ModelConfig) -> dict[str, Any]:
    """Return the state that ``save_checkpoint`` wrote, on the CPU.

    Raises:
        CheckpointError: It is missing, damaged or of another model, or holds anything but plain data.
    """
    path = checkpoint_path(run_path)
    if not path.exists():
        raise CheckpointError(f"{path}: there is no checkpoint; the run has not saved one yet.")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: is truncated, or was never a checkpoint.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|class|Unsupported operand|function) [\w.]+", str(error))
        what = f" ({found[0]})" if found else ""
        raise CheckpointError(
            f"{path}: holds objects that a checkpoint must not hold{what}; nothing was loaded."
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: is damaged ({reason}).") from None
    _check(path, state, config)
    checked: dict[str, Any] = state
    return checked


def _check(path: Path, state: Any, config: ModelConfig) -> None:
    if not isinstance(state, dict) or state.get("schema") != CHECKPOINT_SCHEMA:
        came = state.get("schema") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(f"{path}: schema {came!r}; accepted: {CHECKPOINT_SCHEMA!r}.")
    missing, unexpected = sorted(KEYS - set(state)), sorted(map(str, set(state) - KEYS))
    if missing or unexpected:
        raise CheckpointError(f"{path}: missing keys {missing}, unexpected keys {unexpected}.")
    if state["model"] != config.model:
        raise CheckpointError(f"{path}: is of model {state['model']!r}, the run's config says {config.model!r}.")


def load_weights(path: Path, model: torch.nn.Module, weights: dict[str, Any]) -> None:
    """Load a checkpoint's weights into the model.

    Args:
        path: The checkpoint's path, for error messages.
        model: The model.
        weights: State dict.

    Raises:
        CheckpointError: Names or shapes do not match the model.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise CheckpointError(f"{path}: does not fit the model of the run's config ({detail}).") from None
