"""Checkpoints: written whole or not at all, and loaded without ever running code."""

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
    """A checkpoint that is missing, damaged, or not of this model; the message says which and what to try."""


def checkpoint_path(run_path: Path) -> Path:
    """Return where a run's newest good checkpoint lies."""
    return run_path / "checkpoints" / "last.pt"


def save_checkpoint(run_path: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint; after a crash at any moment the old one, or the new one, is there whole.

    Args:
        run_path: The run directory.
        state: Tensors, strings, numbers, None, lists and dicts of them, under ``KEYS`` less "schema".
    """
    path = checkpoint_path(run_path)
    path.parent.mkdir(exist_ok=True)
    buffer = io.BytesIO()  # torch.save hides a full disk behind an error of its own
    torch.save({"schema": CHECKPOINT_SCHEMA, **state}, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def load_checkpoint(run_path: Path, config: ModelConfig) -> dict[str, Any]:
    """Return the state that ``save_checkpoint`` wrote, on the CPU.

    Raises:
        CheckpointError: There is none, it cannot be read, holds anything but plain data, or is another model's.
    """
    path = checkpoint_path(run_path)
    if not path.exists():
        raise CheckpointError(f"{path}: there is no checkpoint; the run has not come to its first one.")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: is truncated, or was never a checkpoint.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|class|Unsupported operand|function) [\w.]+", str(error))
        what = f" ({found[0]})" if found else ""
        raise CheckpointError(
            f"{path}: holds objects that a checkpoint must not hold{what}; none was loaded."
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
    """Put a checkpoint's weights into the model; CheckpointError if names or shapes are not the model's."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise CheckpointError(f"{path}: does not fit the model that the run's config describes ({detail}).") from None
