"""Image files as arrays: what they are by their headers, and how they are converted and resized."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from core.config.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}  #: What an image becomes without a conversion.
MODES = {"grey": "L", "rgb": "RGB"}
#: What Pillow's decoders raise for damaged files, besides errors of their own.
UNREADABLE = (ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error)
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I")


@frozen
class Reading:
    """How image files are read.

    Attributes:
        size: Height and width of the result; None keeps those of the file.
        mode: "grey", "rgb", or "keep", which accepts grey and colour images of 8 bits.
    """

    size: int | None = None
    mode: str = "keep"

    def header(self, path: Path) -> str:
        """Return the size and kind that the image will have; ConfigError if it cannot be read."""
        with opened(path) as image:
            width, height = (image.width, image.height) if self.size is None else (self.size, self.size)
            return f"{width}×{height} {'grey' if self._becomes(path, image) == 'L' else 'colour'}"

    def n_values(self, path: Path) -> int:
        """Return how many values the image will have."""
        with opened(path) as image:
            n_pixels = image.width * image.height if self.size is None else self.size**2
            return n_pixels * len(self._becomes(path, image))

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return an image, uint8 of shape ``(channels, height, width)``."""
        import PIL.Image

        with opened(path) as image:
            kind = self._becomes(path, image)
            converted = (image if self.mode == "keep" else _opaque(_eight_bits(image))).convert(kind)
            if self.size is not None:
                converted = _middle(converted).resize((self.size, self.size), PIL.Image.Resampling.BICUBIC)
            values = np.asarray(converted)
        return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)

    def _becomes(self, path: Path, image: Image) -> str:
        if self.mode in MODES:
            return MODES[self.mode]
        if image.mode not in KINDS:
            raise ConfigError(
                f"{path}: an image of kind {image.mode}; accepted: grey (L) or colour (RGB), 8 bits each. "
                "Try: --image-mode grey or rgb."
            )
        return KINDS[image.mode]


def _middle(image: Image) -> Image:
    """Return the largest square in the middle of an image, so that nothing outside it mixes in when it is scaled."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _eight_bits(image: Image) -> Image:
    """Return a 16-bit image with 8 bits; Pillow itself would clip instead of scale."""
    if image.mode not in SIXTEEN_BITS:
        return image
    import PIL.Image

    values = np.asarray(image).astype(np.int64).clip(0, 65535)
    return PIL.Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _opaque(image: Image) -> Image:
    """Return an image without transparency, over white; the colours of transparent pixels are arbitrary."""
    if image.mode not in ("RGBA", "LA", "PA") and not (image.mode == "P" and "transparency" in image.info):
        return image
    import PIL.Image

    white = PIL.Image.new("RGBA", image.size, "white")
    return PIL.Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image]:
    """Open an image file; ConfigError if it cannot be read."""
    import PIL.Image

    try:
        with PIL.Image.open(path) as image:
            yield image
    except ConfigError:
        raise
    except (*UNREADABLE, PIL.Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: cannot be read as an image ({error}).") from None
