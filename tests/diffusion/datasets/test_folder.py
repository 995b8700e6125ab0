"""The user's own images, and every way in which they can be wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import HELD_OUT, TRAIN, load_data
from core.diffusion.datasets.folder import folder


def save(path: Path, size: tuple[int, int] = (6, 4), mode: str = "L", value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def config(root: Path) -> ModelConfig:
    return ModelConfig(dataset="folder", data_dir=str(root))


def test_images_are_scaled_and_split(tmp_path: Path) -> None:
    for value in range(10):
        save(tmp_path / f"{value}.png", value=value * 28)
    train, held_out = load_data(config(tmp_path), TRAIN), load_data(config(tmp_path), HELD_OUT)
    assert (len(train), len(held_out), train.data_shape, train.n_classes) == (8, 2, (1, 4, 6), 0)
    values = sorted(float(data[index][0].mean()) for data in (train, held_out) for index in range(len(data)))
    assert values == pytest.approx([value * 28 / 127.5 - 1 for value in range(10)])


def test_subdirectories_are_classes_and_colours_keep_their_order(tmp_path: Path) -> None:
    for name, colour in (("ants", (255, 0, 0)), ("bees", (0, 0, 255))):
        for index in range(5):
            path = tmp_path / name / f"{index}.PNG"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (4, 4), colour).save(path)
    train = folder(config(tmp_path), TRAIN)
    assert (len(train), train.n_classes, train.data_shape) == (8, 2, (3, 4, 4))
    for image, label in train:
        expected = torch.full((3, 4, 4), -1.0)
        expected[0 if label == 0 else 2] = 1.0
        assert torch.equal(image, expected)


def test_a_palette_becomes_colour_and_one_bit_becomes_grey(tmp_path: Path) -> None:
    for index in range(5):
        save(tmp_path / "p" / f"{index}.png", mode="P")
        save(tmp_path / "b" / f"{index}.png", mode="1", value=1)
    assert folder(config(tmp_path / "p"), TRAIN).data_shape[0] == 3
    assert folder(config(tmp_path / "b"), TRAIN)[0][0].unique().tolist() == [1.0]


def test_images_of_another_size_are_refused_by_name(tmp_path: Path) -> None:
    for index in range(5):
        save(tmp_path / f"{index}.png", size=(6, 4) if index else (6, 6))
    for split in (TRAIN, HELD_OUT):
        with pytest.raises(ConfigError, match=r"1\.png: 6×4 grey, but .*0\.png is 6×6 grey"):
            folder(config(tmp_path), split)


def test_grey_among_colours_is_refused(tmp_path: Path) -> None:
    for index in range(5):
        save(tmp_path / f"{index}.png", mode="RGB" if index else "L")
    with pytest.raises(ConfigError, match=r"colour, but .* is 6×4 grey"):
        folder(config(tmp_path), TRAIN)


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_images_of_another_kind_are_refused(tmp_path: Path, mode: str) -> None:
    for index in range(3):
        save(tmp_path / f"{index}.png", mode=mode)
    with pytest.raises(ConfigError, match=f"an image of kind {mode}; accepted: grey .* or colour"):
        folder(config(tmp_path), TRAIN)


@pytest.mark.parametrize("keep", [0, 30])
def test_an_unreadable_image_is_named(tmp_path: Path, keep: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (5, 8, 8), dtype=np.uint8)
    for index in range(5):
        Image.fromarray(noise[index]).save(tmp_path / f"{index}.png")
    broken = tmp_path / "0.png"
    broken.write_bytes(broken.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"0\.png: cannot be read as an image"):
        folder(config(tmp_path), TRAIN)


def test_a_directory_that_is_none_or_holds_too_little_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data_dir is not given\. Try: --data-dir"):
        folder(ModelConfig(dataset="folder"), TRAIN)
    with pytest.raises(ConfigError, match="absent is no directory"):
        folder(config(tmp_path / "absent"), TRAIN)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ConfigError, match="holds 0 images; at least 2"):
        folder(config(tmp_path), TRAIN)
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    with pytest.raises(ConfigError, match="too few images to hold any out"):
        folder(config(tmp_path), HELD_OUT)
