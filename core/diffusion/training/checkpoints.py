"""Checkpoints: written whole or not at all, and loaded without running code."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import re
import reprlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import torch
from attrs import frozen

from core.config.config import ModelConfig
from core.diffusion.training.checkpoint_names import LAST, checkpoint_names, name_of
from core.diffusion.training.checkpoint_names import checkpoint_path as checkpoint_path  # also importable from here
from core.runs.files import make_directory, replacing
from core.runs.limits import MOST_CHECKPOINT_BYTES, MOST_STEP
from core.runs.open_file import RefusedFileError, directory_inside, open_file

CHECKPOINT_SCHEMA = "pyml.checkpoint/1"
EXTENDED_SCHEMA = "pyml.checkpoint/2"  #: Of a checkpoint with optional keys, which earlier versions cannot read.
KEYS = frozenset(
    {"schema", "model", "weights", "ema", "optimizer", "step", "epoch", "n_seen", "order", "random", "meter"}
)
OTHER_EMAS = "other_emas"  #: The moving averages besides "ema": their state dicts, by half-life in training images.
BEST_SO_FAR = "best"  #: Step and loss of the best checkpoint so far, where there are validation images.
OPTIONAL_KEYS = frozenset({OTHER_EMAS, BEST_SO_FAR})
_IS_DIRECTORY = 0x10  # of the attributes of MS-DOS, which a zip archive keeps for each entry

EMA_WEIGHTS, RAW_WEIGHTS = WEIGHTS = ("ema", "raw")


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged, or of another model; the message says which."""


def save_checkpoint(run_path: str | Path, state: dict[str, Any], also: Sequence[str] = ()) -> None:
    """Replace the run's last checkpoint. After a crash at any moment, the old one or the new one is there, complete.

    Args:
        run_path: The run directory.
        state: One entry for each of ``KEYS`` but "schema", and for any of ``OPTIONAL_KEYS``: tensors, strings, numbers,
            None, and lists or dicts of them.
        also: Names of checkpoints with the same content: "best", "step-N". They are written first: a run that is
            killed in between continues from an earlier step, and writes them again.
    """
    make_directory(directory_inside(run_path, checkpoint_path(run_path).parent.name))
    schema = EXTENDED_SCHEMA if OPTIONAL_KEYS & set(state) else CHECKPOINT_SCHEMA
    buffer = io.BytesIO()  # torch.save to a file reports a full disk as an unrelated RuntimeError
    torch.save({"schema": schema, **state}, buffer)
    for name in (*also, LAST):
        with replacing(checkpoint_path(run_path, name)) as file:
            file.write(buffer.getbuffer())


@frozen(eq=False)
class Checkpoint:
    """A checkpoint as it was read: its content, and which file it was.

    Attributes:
        path: Path of the file.
        digest: "sha256:" and the SHA-256 of the file's bytes, from which ``state`` was parsed.
        state: The entries named by ``KEYS``, and any of ``OPTIONAL_KEYS``; tensors are on the CPU.
    """

    path: Path
    digest: str
    state: dict[str, Any]

    @property
    def name(self) -> str:
        """Which of the run's checkpoints it is: "last", "best" or "step-N"."""
        return name_of(self.path)

    @property
    def step(self) -> int:
        """Training steps done when it was saved."""
        return int(self.state["step"])

    def average(self, half_life_images: int | None = None) -> dict[str, Any]:
        """Return the state dict of a moving average of the weights.

        Args:
            half_life_images: Its half-life, in training images; None for the first one of the run's config.

        Raises:
            CheckpointError: The checkpoint does not hold it.
        """
        others = self.state.get(OTHER_EMAS, {})
        if half_life_images is not None and (not isinstance(others, dict) or half_life_images not in others):
            raise CheckpointError(f"{self.path}: has no moving average with a half-life of {half_life_images} images.")
        average: dict[str, Any] = self.state["ema"] if half_life_images is None else others[half_life_images]
        return average


def digest_of(content: bytes) -> str:
    """Return "sha256:" and the SHA-256 of the bytes, as 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def load_checkpoint(run_path: str | Path, config: ModelConfig, name: str = LAST) -> Checkpoint:
    """Read a checkpoint that ``save_checkpoint`` wrote.

    The file is read once: digest and content come from the same bytes, even if training replaces it meanwhile.

    Args:
        run_path: The run directory.
        config: The run's config.
        name: "last", "best" or "step-N".

    Raises:
        ConfigError: The name is none of these.
        CheckpointError: It is missing, damaged or of another model, or holds anything but plain data.
    """
    path = checkpoint_path(run_path, name)
    try:
        directory_inside(run_path, path.parent.name)
        content = _content(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no checkpoint; {_those_there_are(run_path)}") from None
    except RefusedFileError as error:
        raise CheckpointError(f"{path}: {error.strerror}; nothing was loaded.") from None
    except OSError as error:  # such as EIO of a network file system: it says nothing about the file
        why = error.strerror or error
        raise CheckpointError(f"{path}: could not be read ({why}); the file itself may be whole. Try again.") from None
    state = _parse(path, content)
    _check(path, state, config)
    return Checkpoint(path, digest_of(content), state)


def _those_there_are(run_path: str | Path) -> str:
    """Return what to say of a run's checkpoints where one is missing."""
    if not (names := checkpoint_names(run_path)):
        return "the run has not saved one yet."
    return f"the run has: {', '.join(names)}. Training keeps more with --keep-every-epochs and --validation-share."


def _content(path: Path) -> bytes:
    """Return the bytes of a file that is an archive; any other is refused before it is read, whatever its size."""
    descriptor, n_bytes = open_file(str(path), MOST_CHECKPOINT_BYTES)
    with os.fdopen(descriptor, "rb") as file:
        if not _is_archive(file):
            raise CheckpointError(f"{path}: is truncated, or was never a checkpoint.")
        file.seek(0)
        return file.read(n_bytes)


def _parse(path: Path, content: bytes) -> Any:
    """Return what the bytes of a checkpoint hold, after their checksums have been verified."""
    try:
        _verify(content)
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|class|Unsupported operand|function) [\w.]+", str(error))
        what = f" ({found[0]})" if found else ""
        raise CheckpointError(
            f"{path}: holds objects that a checkpoint must not hold{what}; nothing was loaded."
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # the unpickler answers damage with many errors, such as IndexError
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: is damaged ({reason}).") from None


def _is_archive(file: IO[bytes]) -> bool:
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile:  # such as a part of an archive of several files, as one flipped bit may say
        return False


def _verify(content: bytes) -> None:
    """Compare each entry with its checksum, which torch.load does not: one flipped bit would be other weights.

    Raises:
        ValueError: A checksum is wrong. Or an entry is compressed: torch.save never compresses, and a compressed entry
            could expand to more than the memory. Or an entry is marked as a directory: torch.load would not read it,
            and return tensors of whatever the memory held.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError("an entry is compressed")
            if entry.external_attr & _IS_DIRECTORY:
                raise ValueError("an entry is marked as a directory")
        if (bad := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {bad} is wrong")


def _check(path: Path, state: Any, config: ModelConfig) -> None:
    schema = state.get("schema") if isinstance(state, dict) else type(state).__name__
    if not isinstance(state, dict) or not isinstance(schema, str) or schema not in {CHECKPOINT_SCHEMA, EXTENDED_SCHEMA}:
        got = reprlib.repr(schema)  # which may be anything, of any length
        raise CheckpointError(f"{path}: schema {got}; accepted: {CHECKPOINT_SCHEMA!r}, {EXTENDED_SCHEMA!r}.")
    accepted = KEYS | OPTIONAL_KEYS if schema == EXTENDED_SCHEMA else KEYS
    missing = sorted(KEYS - set(state))
    unexpected = sorted(key if isinstance(key, str) else reprlib.repr(key) for key in set(state) - accepted)
    if missing or unexpected:
        raise CheckpointError(f"{path}: missing keys {missing}, unexpected keys {reprlib.repr(unexpected)}.")
    model, step = state["model"], state["step"]
    if not isinstance(model, str) or model != config.model:
        raise CheckpointError(f"{path}: is of model {reprlib.repr(model)}, the run's config says {config.model!r}.")
    if type(step) is not int or not 0 <= step < MOST_STEP:
        raise CheckpointError(f"{path}: step: got {reprlib.repr(step)}; accepted: an integer from 0 up.")


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
    except (AttributeError, RuntimeError, TypeError) as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:3]) or str(error)
        raise CheckpointError(f"{path}: does not fit the model of the run's config ({detail}).") from None
