"""Samples as files of the user's: one .npz, or a directory of PNG pictures."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from core.config.errors import ConfigError
from core.diffusion.pictures import can_be_shown
from core.runs.files import write_atomic
from core.utils.results import Scalar

NPZ = ".npz"


def check_output(output: Path, data_shape: tuple[int, ...]) -> None:
    """Raise ConfigError unless samples of this shape can be written to ``output``: a name in .npz, or a directory."""
    if output.suffix == NPZ:
        if output.is_dir():
            raise ConfigError(f"--output: {output} is a directory; accepted: a file ending in .npz, or a directory.")
        if not output.parent.is_dir():
            raise ConfigError(f"--output: there is no directory {output.parent}.")
        return
    if output.suffix or (output.exists() and not output.is_dir()):
        raise ConfigError(
            f"--output: got {str(output)!r}; accepted: a file ending in .npz, or a directory for PNG files."
        )
    if not can_be_shown(data_shape):
        raise ConfigError(
            f"--output: data of shape {tuple(data_shape)} are no pictures; name a file ending in .npz instead."
        )


def write_samples(images: Tensor, labels: Tensor | None, setting: Mapping[str, Scalar], output: Path) -> None:
    """Write samples to a .npz file, or as pictures 000000.png, 000001.png, ... to a directory.

    Args:
        images: float32, shape ``(n, *data_shape)``, scaled to [-1, 1].
        labels: The class that each sample was asked for, or None.
        setting: What the samples were made with.
        output: Where to; see ``check_output``. The .npz file holds ``images``, ``labels`` where there are any, and
            ``setting``, a JSON text. A file that exists is replaced whole; other files of a directory are left alone.
    """
    if output.suffix == NPZ:
        arrays = {"images": images.numpy(), "setting": np.array(json.dumps(setting, sort_keys=True))}
        if labels is not None:
            arrays["labels"] = labels.numpy()
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_atomic(output, buffer.getvalue())
        return
    from PIL import Image

    output.mkdir(parents=True, exist_ok=True)
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for index, picture in enumerate(pixels):
        buffer = io.BytesIO()
        Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(buffer, format="PNG")
        (output / f"{index:06d}.png").write_bytes(buffer.getvalue())
