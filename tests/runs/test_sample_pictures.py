"""Pictures of a run are bounded by their header: nothing is expanded to find out how large it is."""

import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from core.runs.limits import MOST_PICTURE_PIXELS
from core.runs.sample_pictures import read_picture


def png(width: int, height: int) -> bytes:
    """Return a PNG file with that header and no pixels, written after the PNG specification."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))


def test_a_picture_is_read_as_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png") == (tmp_path / "a.png").read_bytes()


def test_a_picture_with_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(8192, MOST_PICTURE_PIXELS // 8192))
    assert read_picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png(65_535, 65_535))
    with pytest.raises(ValueError, match=r"65,535 × 65,535 pixels; accepted: at most 67,108,864"):
        read_picture(tmp_path / "b.png")


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"GIF89a" + b"x" * 30, b"\x89PNG\r\n\x1a\n" + b"\0" * 16])
def test_what_is_no_png_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match="it is not a PNG file"):
        read_picture(tmp_path / "a.png")


def test_a_pipe_and_a_link_out_of_the_run_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="is not a regular file"):
        read_picture(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="leads out of the run"):
        read_picture(tmp_path / "b.png")
