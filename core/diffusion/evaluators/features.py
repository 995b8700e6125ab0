"""The space in which images are compared: raw pixels, or the values of data that are no pictures."""

from __future__ import annotations

from torch import Tensor

from core.diffusion.pictures import can_be_shown


def feature_space(data_shape: tuple[int, ...] | None) -> str:
    """Return what a protocol says of the features of such data."""
    return "pixels" if can_be_shown(data_shape or ()) else "values"


def features(images: Tensor) -> Tensor:
    """Return one vector per image, float64: pixels clipped to [-1, 1], the range of pictures; others as they are."""
    in_range = images.clamp(-1, 1) if can_be_shown(tuple(images.shape[1:])) else images
    return in_range.flatten(1).double()
