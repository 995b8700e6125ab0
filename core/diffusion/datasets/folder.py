"""``folder``: a directory of the user's own images as a data set."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import (
    HELD_OUT,
    HELD_OUT_SHARE,
    InMemory,
    check_split,
    is_from_before_fingerprints,
    split_indices,
)
from core.diffusion.datasets.image_files import Reading
from core.diffusion.datasets.workers import mapped

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
MOST_UNPACKED_BYTES = 256 << 20  #: Images of up to this size together are read, however well they are compressed.
MOST_RATIO = 200  #: Photographs are compressed 10 to 50 times; a PNG file made to fill the memory, 1,000 times.
MOST_NAMED = 20  #: Bad files that one error names.
Found = TypeVar("Found")


def folder(config: ModelConfig, split: str) -> InMemory:
    """Return the images under ``config.data_dir``, which must have one size and be all grey or all colour.

    With ``config.image_size`` and ``config.image_mode`` they are resized and converted first. Hidden files are ignored.

    If every image is in a subdirectory, the subdirectories are the classes, sorted by name; else there are no classes.

    A hash of its content decides whether an image is held out; about a fifth are. Adding, removing or renaming files
    does not change this for other images, and equal images are never on both sides of the split.

    Raises:
        ConfigError: There is no such directory, it holds too few images, or images cannot be read or differ in size or
            kind; all such files are named at once.

    Warns:
        UserWarning: Images lie beside folders of images, so that there are no classes.
    """
    root = _root(config)
    paths = sorted(path for path in root.rglob("*") if _is_image(path, root))
    if len(paths) < 2:
        listed = ", ".join(sorted(SUFFIXES))
        raise ConfigError(f"data_dir: {root} holds {len(paths)} images; at least 2 are needed, of {listed}.")
    labels, class_names = _labels(paths, root)
    reading = Reading(config.image_size, config.image_mode)
    _check(paths, reading)
    by_content = not is_from_before_fingerprints(config)
    images = _read(paths, reading)
    if by_content:
        chosen = split_by_content(images, split, config.split_seed)
    else:
        chosen = split_indices(labels, split, config.split_seed)
    if not len(chosen):
        raise ConfigError(
            f"data_dir: {root} holds too few different images: none of {len(paths)} is in the split {split!r}. "
            "About a fifth is held out; add images, or try another --split-seed."
        )
    tensors = torch.from_numpy(images[chosen]), torch.from_numpy(labels[chosen])
    return InMemory(*tensors, len(class_names), split_by_content=by_content, class_names=class_names)


def split_by_content(images: NDArray[np.uint8], split: str, split_seed: int) -> NDArray[np.int64]:
    """Return the indices of one split, in increasing order; a hash of each image decides whether it is held out.

    Args:
        images: Shape ``(n, channels, height, width)``.
        split: "train" or "held_out".
        split_seed: Seed of the hash.
    """
    check_split(split)
    key = split_seed.to_bytes(8, "little")
    hashes = (hashlib.blake2b(image.tobytes(), digest_size=8, key=key).digest() for image in images)
    held_out = np.array([int.from_bytes(found, "little") < HELD_OUT_SHARE * 2**64 for found in hashes])
    return np.flatnonzero(held_out if split == HELD_OUT else ~held_out)


def _root(config: ModelConfig) -> Path:
    """Return the directory of the images: the absolute path that a run has kept, or the path as it was given."""
    if config.data_dir is None:
        raise ConfigError("data set 'folder': data_dir is not given. Try: --data-dir DIRECTORY.")
    given = Path(config.data_dir).expanduser()
    kept = None if config.data_dir_absolute is None else Path(config.data_dir_absolute)
    if kept is not None and kept.is_dir():
        return kept
    if not given.is_dir():
        also = "" if kept is None or kept == given else f", and neither is {kept}"
        raise ConfigError(f"data_dir: {given} is not a directory{also}.")
    return given


def _is_image(path: Path, root: Path) -> bool:
    """Return whether a file is an image by its name. Hidden files are not, such as the ``._*`` that macOS writes."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()


def _labels(paths: list[Path], root: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the class of each image, by its directory just below the root, and the names of the classes."""
    parts = [path.relative_to(root).parts for path in paths]
    stray = [path for path, part in zip(paths, parts, strict=True) if len(part) == 1]
    if stray:
        if len(stray) < len(paths):
            warnings.warn(
                f"data_dir: {len(stray):,} images lie beside folders of images, such as {stray[0]}, so the data have "
                "no classes. Move them into the folders of their classes, or away.",
                stacklevel=4,
            )
        return np.zeros(len(paths), dtype=np.int64), ()
    names = sorted({part[0] for part in parts})
    return np.array([names.index(part[0]) for part in parts], dtype=np.int64), tuple(names)


def _check(paths: list[Path], reading: Reading) -> None:
    """Check by the headers that all images will have the size and kind of the first one, and fit in memory.

    Raises:
        ConfigError: Some do not; all bad files are named at once, up to ``MOST_NAMED``.
    """

    headers, faults = _of_all(reading.header, paths)
    first, expected = next(iter(headers.items()), (paths[0], ""))
    faults += [
        f"{path}: {about}, but {first} is {expected}; all images must have the same size and kind. "
        "Try: --image-size and --image-mode."
        for path, about in headers.items()
        if about != expected
    ]
    _refuse(faults)
    expanded = len(paths) * reading.n_values(paths[0])
    on_disk = sum(path.stat().st_size for path in paths)
    if expanded > max(MOST_UNPACKED_BYTES, MOST_RATIO * on_disk):
        raise ConfigError(
            f"data_dir: {len(paths):,} images of {on_disk:,} bytes expand to {expanded:,} bytes; accepted: at most "
            f"{MOST_RATIO} times their size on disk. Try smaller images."
        )


def _read(paths: list[Path], reading: Reading) -> NDArray[np.uint8]:
    """Return all images, shape ``(n, channels, height, width)``.

    Raises:
        ConfigError: Some have a good header but damaged content; all are named at once, up to ``MOST_NAMED``.
    """
    images, faults = _of_all(reading.read, paths)
    _refuse(faults)
    return np.stack(list(images.values()))


def _of_all(function: Callable[[Path], Found], paths: list[Path]) -> tuple[dict[Path, Found], list[str]]:
    """Return what a function finds in each file, in order, and the faults of the files that cannot be used."""

    def attempt(path: Path) -> Found | ConfigError:
        try:
            return function(path)
        except ConfigError as error:
            return error

    found: dict[Path, Found] = {}
    faults: list[str] = []
    for path, result in zip(paths, mapped(attempt, paths), strict=True):
        if isinstance(result, ConfigError):
            faults += result.faults
        else:
            found[path] = result
    return found, faults


def _refuse(faults: list[str]) -> None:
    """Raise ConfigError if there are faults, with up to ``MOST_NAMED`` of them."""
    if faults:
        more = [f"{len(faults) - MOST_NAMED:,} more files cannot be used."] if len(faults) > MOST_NAMED else []
        raise ConfigError(*faults[:MOST_NAMED], *more)
