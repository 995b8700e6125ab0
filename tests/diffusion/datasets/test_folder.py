"""The user's own images, and every way in which they can be wrong."""

import contextlib
import struct
import threading
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets import workers
from core.diffusion.datasets.base import HELD_OUT, TRAIN, ImageData, load_data
from core.diffusion.datasets.folder import folder
from core.diffusion.datasets.image_files import Reading
from core.diffusion.datasets.workers import mapped, use_workers


def save(path: Path, size: tuple[int, int] = (6, 4), mode: str = "L", value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def config(root: Path) -> ModelConfig:
    return ModelConfig(dataset="folder", data_dir=str(root))


def values_of(data: ImageData) -> list[int]:
    """Return the grey value of each image."""
    return [round(127.5 * (float(data[index][0].mean()) + 1)) for index in range(len(data))]


def test_images_are_scaled_and_about_a_fifth_is_held_out(tmp_path: Path) -> None:
    for value in range(256):
        save(tmp_path / f"{value}.png", value=value)
    train, held_out = load_data(config(tmp_path), TRAIN), load_data(config(tmp_path), HELD_OUT)
    assert (train.data_shape, train.n_classes) == ((1, 4, 6), 0)
    assert len(held_out) == pytest.approx(256 / 5, abs=4 * (256 * 0.2 * 0.8) ** 0.5)  # binomial
    assert sorted(values_of(train) + values_of(held_out)) == list(range(256))


def test_adding_removing_and_renaming_files_moves_no_other_image(tmp_path: Path) -> None:
    for value in range(0, 200, 2):
        save(tmp_path / f"{value:03d}.png", value=value)
    train, held_out = (set(values_of(load_data(config(tmp_path), split))) for split in (TRAIN, HELD_OUT))
    save(tmp_path / "000a.png", value=255)  # sorted among the others, which shifted the whole split by path
    (tmp_path / "100.png").unlink()
    (tmp_path / "050.png").rename(tmp_path / "z.png")
    after_train, after_held_out = (set(values_of(load_data(config(tmp_path), split))) for split in (TRAIN, HELD_OUT))
    assert after_held_out - held_out <= {255}
    assert after_train - train <= {255}
    assert not after_train & held_out
    assert (train | held_out) - (after_train | after_held_out) == {100}


def test_equal_images_are_on_the_same_side_whatever_their_files(tmp_path: Path) -> None:
    for value in range(60):
        save(tmp_path / f"{value}.png", value=value)
        save(tmp_path / f"copy of {value}.bmp", value=value)
    train, held_out = (values_of(load_data(config(tmp_path), split)) for split in (TRAIN, HELD_OUT))
    assert not set(train) & set(held_out)
    assert len(held_out) == 2 * len(set(held_out)) > 0


def test_another_split_seed_holds_out_other_images(tmp_path: Path) -> None:
    for value in range(100):
        save(tmp_path / f"{value}.png", value=value)
    one, other = (
        set(values_of(load_data(ModelConfig(dataset="folder", data_dir=str(tmp_path), split_seed=seed), HELD_OUT)))
        for seed in (0, 1)
    )
    assert one != other


def test_a_run_from_before_fingerprints_keeps_its_split_by_path(tmp_path: Path) -> None:
    for value in range(10):
        save(tmp_path / f"{value}.png", value=value * 28)
    old = attrs.evolve(config(tmp_path), data_shape=(1, 4, 6), n_classes=0)
    held_out = values_of(load_data(old, HELD_OUT))
    expected = sorted(np.random.RandomState(0).permutation(10)[:2])  # a fifth, drawn over the sorted paths
    assert held_out == [28 * value for value in expected]


def test_the_absolute_path_that_a_run_has_kept_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in range(20):
        save(tmp_path / "images" / f"{value}.png", value=value)
    monkeypatch.chdir(tmp_path)
    relative = ModelConfig(dataset="folder", data_dir="images")
    expected = values_of(load_data(relative, TRAIN))
    kept = attrs.evolve(relative, data_dir_absolute=str(tmp_path / "images"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert values_of(load_data(kept, TRAIN)) == expected
    with pytest.raises(ConfigError, match="data_dir: images is not a directory"):
        load_data(relative, TRAIN)


def test_subdirectories_are_classes_and_colours_keep_their_order(tmp_path: Path) -> None:
    for name, colour in (("ants", (255, 0, 0)), ("bees", (0, 0, 255))):
        for index in range(20):
            path = tmp_path / name / f"{index}.PNG"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (4, 4), tuple(value and value - index for value in colour)).save(path)
    train, held_out = folder(config(tmp_path), TRAIN), folder(config(tmp_path), HELD_OUT)
    assert (len(train) + len(held_out), train.n_classes, train.data_shape) == (40, 2, (3, 4, 4))
    assert set(train.tensors[1].tolist()) == {0, 1}
    for image, label in train:
        dark = torch.full((2, 4, 4), -1.0)
        assert torch.equal(image[[1, 2]] if label == 0 else image[[0, 1]], dark)
        assert image[0 if label == 0 else 2].min() > 0.8


def test_a_palette_becomes_colour_and_one_bit_becomes_grey(tmp_path: Path) -> None:
    for index in range(5):
        save(tmp_path / "p" / f"{index}.png", mode="P")
        save(tmp_path / "b" / f"{index}.png", mode="1", value=1)
    either = {"p": TRAIN, "b": TRAIN}
    for name in either:  # five equal images are all on one side
        with contextlib.suppress(ConfigError):
            folder(config(tmp_path / name), HELD_OUT)
            either[name] = HELD_OUT
    assert folder(config(tmp_path / "p"), either["p"]).data_shape[0] == 3
    assert folder(config(tmp_path / "b"), either["b"])[0][0].unique().tolist() == [1.0]


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
    with pytest.raises(ConfigError, match="absent is not a directory"):
        folder(config(tmp_path / "absent"), TRAIN)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ConfigError, match="holds 0 images; at least 2"):
        folder(config(tmp_path), TRAIN)
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    for split in (TRAIN, HELD_OUT):
        with contextlib.suppress(ConfigError):
            assert len(folder(config(tmp_path), split)) == 2
            other = HELD_OUT if split == TRAIN else TRAIN
    with pytest.raises(ConfigError, match=f"too few different images: none of 2 is in the split '{other}'"):
        folder(config(tmp_path), other)


def test_pictures_that_would_fill_the_memory_are_refused_by_their_headers(tmp_path: Path) -> None:
    save(tmp_path / "0.png", size=(2600, 2600))  # 6.76 MB of pixels, 7 kB on disk
    for index in range(1, 40):
        (tmp_path / f"{index}.png").write_bytes((tmp_path / "0.png").read_bytes())
    message = r"40 images of [\d,]+ bytes expand to 270,400,000 bytes; accepted: at most 200 times"
    with pytest.raises(ConfigError, match=message):
        load_data(config(tmp_path), TRAIN)


def test_all_bad_files_are_named_at_once(tmp_path: Path) -> None:
    for index in range(30):
        save(tmp_path / f"{index:02d}.png")
    (tmp_path / "03.png").write_bytes(b"no image")
    save(tmp_path / "04.png", mode="RGBA")
    for index in range(5, 30):
        save(tmp_path / f"{index:02d}.png", size=(3, 3))
    with pytest.raises(ConfigError) as caught:
        folder(config(tmp_path), TRAIN)
    named = [f"{index:02d}.png: " for index in range(3, 23)]
    assert len(caught.value.faults) == 21
    assert all(name in fault for name, fault in zip(named, caught.value.faults, strict=False))
    assert caught.value.faults[-1] == "7 more files cannot be used."  # 27 are bad, 20 of them named


def test_all_files_with_good_headers_and_damaged_content_are_named_at_once(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, 16, 16), dtype=np.uint8)
    for index in range(6):
        Image.fromarray(noise[index]).save(tmp_path / f"{index}.png")
    for index in (1, 3):
        content = (tmp_path / f"{index}.png").read_bytes()
        (tmp_path / f"{index}.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError) as caught:
        folder(config(tmp_path), TRAIN)
    assert [fault[: len(str(tmp_path)) + 6] for fault in caught.value.faults] == [
        f"{tmp_path}/{index}.png" for index in (1, 3)
    ]
    assert all("cannot be read as an image (image file is truncated" in fault for fault in caught.value.faults)


def test_a_tag_of_another_type_is_called_damage(tmp_path: Path) -> None:
    """Pillow raises a TypeError if the StripOffsets (tag 273) of a TIFF are fractions (type 5), not integers (4)."""
    save(tmp_path / "0.tif", size=(4, 4))
    content = bytearray((tmp_path / "0.tif").read_bytes())
    content[content.index(struct.pack("<HH", 273, 4)) + 2] = 5
    (tmp_path / "0.tif").write_bytes(content)
    with pytest.raises(ConfigError, match=r"0\.tif: cannot be read as an image"):
        Reading(mode="grey").read(tmp_path / "0.tif")


def test_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    for value in range(40):
        save(tmp_path / f"{value}.png", value=value)
    (tmp_path / "._0.png").write_bytes(b"what macOS keeps beside 0.png")
    save(tmp_path / ".thumbnails" / "0.png", size=(2, 2))
    n = sum(len(folder(config(tmp_path), split)) for split in (TRAIN, HELD_OUT))
    assert n == 40


def test_images_beside_folders_of_images_are_warned_of(tmp_path: Path) -> None:
    for value in range(40):
        save(tmp_path / ("ants" if value % 2 else "bees") / f"{value}.png", value=value)
    save(tmp_path / "stray.png", value=99)
    with pytest.warns(
        UserWarning, match=r"1 images lie beside folders of images, such as .*stray\.png, so the data have no"
    ):
        data = folder(config(tmp_path), TRAIN)
    assert data.n_classes == 0


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("L", 100, 100),
        ("I;16", 100 * 257, 100),  # 65535 becomes 255
        ("LA", (100, 255), 100),
        ("LA", (0, 0), 255),  # transparent: white, whatever lies below
        ("RGBA", (40, 40, 40, 255), 40),
        ("RGB", (0, 255, 0), 150),  # 0.587 · 255, as ITU-R 601 weights green
    ],
)
def test_images_of_other_kinds_are_converted_on_request(
    tmp_path: Path, mode: str, pixel: int | tuple[int, ...], expected: int
) -> None:
    Image.new(mode, (4, 4), pixel).save(tmp_path / "0.png")
    grey = Reading(mode="grey").read(tmp_path / "0.png")
    assert (str(grey.dtype), grey.shape, np.unique(grey).tolist()) == ("uint8", (1, 4, 4), [expected])
    colour = Reading(mode="rgb").read(tmp_path / "0.png")
    assert colour.shape == (3, 4, 4)
    if mode != "RGB":
        assert np.unique(colour).tolist() == [expected]


def test_images_of_any_size_are_cut_to_the_middle_and_scaled_on_request(tmp_path: Path) -> None:
    """A wide image of three parts, black, grey and black: the middle square is grey, at any size."""
    for index in range(60):
        height = 10 + index
        wide = np.zeros((height, 3 * height), dtype=np.uint8)
        wide[:, height : 2 * height] = 100 + index
        Image.fromarray(wide).save(tmp_path / f"{index:02d}.png")
    resized = attrs.evolve(config(tmp_path), image_size=8)
    train, held_out = folder(resized, TRAIN), folder(resized, HELD_OUT)
    assert train.data_shape == (1, 8, 8)
    assert sorted(values_of(train) + values_of(held_out)) == list(range(100, 160))
    with pytest.raises(ConfigError, match="Try: --image-size and --image-mode"):
        folder(config(tmp_path), TRAIN)


@pytest.mark.parametrize("n_workers", [2, 7, 100])
def test_any_number_of_workers_reads_the_same_images_and_names_the_same_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_workers: int
) -> None:
    def read(n: int) -> list[torch.Tensor]:
        monkeypatch.setattr(workers, "_n_workers", None)
        use_workers(n)
        return [tensor for split in (TRAIN, HELD_OUT) for tensor in folder(config(tmp_path), split).tensors]

    random = np.random.RandomState(0)
    for index in range(40):
        path = tmp_path / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, (5, 4, 3), dtype=np.uint8)).save(path)
    assert all(torch.equal(one, other) for one, other in zip(read(1), read(n_workers), strict=True))
    (tmp_path / "a" / "bad.png").write_bytes(b"not a picture")
    save(tmp_path / "b" / "other.png", size=(3, 3))
    faults = []
    for n in (1, n_workers):
        with pytest.raises(ConfigError, match=r"bad.png: cannot be read.*\n.*other.png: 3×3 grey") as refused:
            read(n)
        faults.append(refused.value.faults)
    assert faults[0] == faults[1]


def test_workers_read_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_n_workers", 3)
    together = threading.Barrier(3)
    assert sorted(mapped(lambda _item: together.wait(30), range(3))) == [0, 1, 2]


def test_without_a_number_there_are_as_many_workers_as_threads_that_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_n_workers", None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    together = threading.Barrier(2)
    assert sorted(mapped(lambda _item: together.wait(30), range(2))) == [0, 1]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert mapped(lambda _item: threading.current_thread(), range(2)) == [threading.current_thread()] * 2
