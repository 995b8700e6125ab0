"""Grids of images."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from core.diffusion.pictures import can_be_shown, image_grid, n_columns, save_grid


def test_images_are_laid_out_in_rows_and_values_beyond_the_range_clipped() -> None:
    images = torch.stack([torch.full((1, 2, 3), value) for value in (-1.0, 0.0, 1.0, 5.0, -9.0)])
    grid = image_grid(images, columns=2)
    factor = 16  # 48 pixels for the longer side of 3
    assert grid.shape == ((3 * 3 + 1) * factor, (2 * 4 + 1) * factor, 3)
    centres = [
        [int(grid[(1 + 3 * row) * factor + 5, (1 + 4 * column) * factor + 5, 0]) for column in (0, 1)]
        for row in (0, 1, 2)
    ]
    assert centres == [[0, 128], [255, 255], [0, 96]]


def test_colours_keep_their_channels() -> None:
    red = torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1).expand(1, 3, 48, 48)
    assert image_grid(red, columns=1)[10, 10].tolist() == [255, 0, 0]


def test_a_png_holds_the_grid_and_is_the_same_each_time(tmp_path: Path) -> None:
    images = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    save_grid(images, 4, tmp_path / "samples" / "a.png")
    save_grid(images, 4, tmp_path / "samples" / "b.png")
    assert (tmp_path / "samples" / "a.png").read_bytes() == (tmp_path / "samples" / "b.png").read_bytes()
    with Image.open(tmp_path / "samples" / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), image_grid(images, 4))


def test_what_is_a_picture_and_how_many_stand_in_a_row() -> None:
    assert [can_be_shown(shape) for shape in ((1, 8, 8), (3, 8, 8), (2, 8, 8), (64,))] == [True, True, False, False]
    assert [n_columns(n) for n in (0, 1, 2, 10, 20, 21)] == [10, 10, 2, 10, 20, 10]
