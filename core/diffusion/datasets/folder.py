"""A directory of the user's own images as a data set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import InMemory, split_indices

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
KINDS = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}


def folder(config: ModelConfig, split: str) -> InMemory:
    """Return the images under ``config.data_dir``, all of one size, grey or in colour.

    Where every image lies in a subdirectory, these are the classes, by name; else there are none. The split is drawn
    over the sorted paths.

    Raises:
        ConfigError: No directory, no images, or images that cannot be read, or differ in size or kind.
    """
    if config.data_dir is None:
        raise ConfigError("data set 'folder': data_dir is not given. Try: --data-dir DIRECTORY.")
    root = Path(config.data_dir).expanduser()
    if not root.is_dir():
        raise ConfigError(f"data_dir: {root} is no directory.")
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(paths) < 2:
        listed = ", ".join(sorted(SUFFIXES))
        raise ConfigError(f"data_dir: {root} holds {len(paths)} images; at least 2 are needed, of {listed}.")
    labels, n_classes = _labels(paths, root)
    chosen = split_indices(labels, split, config.split_seed)
    if not len(chosen):
        raise ConfigError(f"data_dir: {root} holds too few images to hold any out; at least 3 of a class are needed.")
    _check(paths)
    images = np.stack([_read(paths[index]) for index in chosen])
    return InMemory(torch.from_numpy(images), torch.from_numpy(labels[chosen]), n_classes)


def _labels(paths: list[Path], root: Path) -> tuple[NDArray[np.int64], int]:
    """Return each image's class, by the directory that it lies in just below the root, and their number."""
    parts = [path.relative_to(root).parts for path in paths]
    if not all(len(part) > 1 for part in parts):
        return np.zeros(len(paths), dtype=np.int64), 0
    names = sorted({part[0] for part in parts})
    return np.array([names.index(part[0]) for part in parts], dtype=np.int64), len(names)


def _check(paths: list[Path]) -> None:
    """Hold every image to the first one's size and kind, by its header: the held-out ones, too, before training."""
    expected = _header(paths[0])
    for path in paths[1:]:
        if (found := _header(path)) != expected:
            raise ConfigError(f"{path}: {found}, but {paths[0]} is {expected}; all images must be alike.")


def _header(path: Path) -> str:
    with _opened(path) as image:
        if image.mode not in KINDS:
            raise ConfigError(
                f"{path}: an image of kind {image.mode}; accepted: grey (L) or colour (RGB), 8 bits each."
            )
        return f"{image.width}×{image.height} {'grey' if KINDS[image.mode] == 'L' else 'colour'}"


def _read(path: Path) -> NDArray[np.uint8]:
    """Return an image, shape ``(channels, height, width)``; grey stays grey, a palette becomes colour."""
    with _opened(path) as image:
        values = np.asarray(image.convert(KINDS[image.mode]))
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image]:
    import PIL.Image

    try:
        with PIL.Image.open(path) as image:
            yield image
    except ConfigError:
        raise
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: cannot be read as an image ({error}).") from None
