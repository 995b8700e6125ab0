"""Pictures of samples, as PNG files."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.model import Denoiser
from core.diffusion.sampling import generate
from core.runs.files import make_directory, write_atomic

GAP = 1
SMALLEST_TILE = 48
GROUND = 96


def n_columns(n_classes: int) -> int:
    """Return the number of columns of a grid: one per class for 2 to 20 classes, else 10."""
    return n_classes if 2 <= n_classes <= 20 else 10


def image_grid(images: Tensor, columns: int) -> NDArray[np.uint8]:
    """Arrange images in rows on a grey background; small images are enlarged by a whole factor.

    Args:
        images: float32, shape ``(n, channels, height, width)`` with 1 or 3 channels, scaled to [-1, 1]; other values
            are clipped.
        columns: Images per row.

    Returns:
        uint8, shape ``(height, width, 3)``.
    """
    n, _, height, width = images.shape
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), GROUND, dtype=np.uint8)
    tiles = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        canvas[top : top + height, left : left + width] = tile
    factor = max(1, math.ceil(SMALLEST_TILE / max(height, width)))
    enlarged: NDArray[np.uint8] = canvas.repeat(factor, axis=0).repeat(factor, axis=1)
    return enlarged


def save_grid(images: Tensor, columns: int, path: Path) -> None:
    """Write images as one PNG file; the same images give the same bytes. See ``image_grid`` for the arguments."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image_grid(images, columns)).save(buffer, format="PNG")
    make_directory(path.parent)
    write_atomic(path, buffer.getvalue())


def can_be_shown(data_shape: tuple[int, ...]) -> bool:
    """Return whether data of this shape are images with one channel or with red, green and blue."""
    return len(data_shape) == 3 and data_shape[0] in {1, 3}


def save_sample_grid(
    denoiser: Denoiser, config: ModelConfig, device: torch.device, run_path: Path, name: str, rows: int = 4
) -> Path | None:
    """Sample a grid of images and save it in the run's ``samples`` directory.

    Args:
        denoiser: The model, in eval mode on the device.
        config: The run's config.
        device: Device of the model.
        run_path: The run directory.
        name: Name of the file, without suffix.
        rows: Rows of the grid.

    Returns:
        The path of the file; None for data that are not images.
    """
    if not can_be_shown(denoiser.data_shape):
        return None
    columns = n_columns(denoiser.n_classes)
    images = torch.cat([batch.images for batch in generate(denoiser, config, rows * columns, device)])
    path = run_path / "samples" / f"{name}.png"
    save_grid(images, columns, path)
    return path
