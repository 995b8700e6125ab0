"""One value per image, in a shape that broadcasts over the images."""

from __future__ import annotations

from torch import Tensor


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """Reshape one value per image, or one for all, so that it broadcasts over the images.

    Args:
        values: Shape ``(N,)`` or ``()``.
        images: Shape ``(N, ...)``.

    Returns:
        Shape ``(N, 1, ..., 1)``, with as many dimensions as ``images``.
    """
    return values.expand(len(images)).reshape(-1, *[1] * (images.ndim - 1))
