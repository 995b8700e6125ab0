"""The fingerprint of data, and what is refused because of it."""

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets import fingerprint as module
from core.diffusion.datasets.base import HELD_OUT, TRAIN, InMemory
from core.diffusion.datasets.fingerprint import check_not_trained_on, fingerprint
from core.diffusion.eval import Evaluator
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model


def in_memory(values: list[int], labels: list[int] | None = None) -> InMemory:
    images = torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return InMemory(images, torch.tensor(labels or [0] * len(values)), n_classes=2)


class Augmented:
    """Not in memory, and different each time that an image is taken."""

    data_shape = (1, 2, 2)
    n_classes = 2

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((1, 2, 2), self.values[index]) + torch.rand(1, 2, 2) + np.random.rand(), index % 2


@pytest.mark.parametrize(
    ("other", "labels"), [([1, 2, 4], [0, 1, 0]), ([2, 1, 3], [0, 1, 0]), ([1, 2], [0, 1]), ([1, 2, 3], [1, 1, 0])]
)
def test_it_changes_with_images_order_number_and_labels(other: list[int], labels: list[int]) -> None:
    one = fingerprint(in_memory([1, 2, 3], [0, 1, 0]))
    assert len(one) == 16
    assert one == fingerprint(in_memory([1, 2, 3], [0, 1, 0]))
    assert one != fingerprint(in_memory(other, labels))


def test_random_augmentation_makes_no_difference_and_disturbs_no_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert fingerprint(Augmented([1.0, 2.0])) == fingerprint(Augmented([1.0, 2.0]))
    assert torch.equal(torch.rand(2), expected)
    assert fingerprint(Augmented([1.0, 2.0])) != fingerprint(Augmented([1.0, 2.5]))


def test_of_large_data_sets_not_in_memory_only_some_images_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_MOST", 4)
    data = Augmented([0.0] * 9)
    read: list[int] = []
    take = Augmented.__getitem__
    monkeypatch.setattr(Augmented, "__getitem__", lambda self, index: read.append(index) or take(self, index))
    fingerprint(data)
    assert set(read) == {0, 3, 6}


def test_shared_images_are_counted() -> None:
    check_not_trained_on(in_memory([1, 2, 3]), in_memory([4, 5]), "mine")
    with pytest.raises(ConfigError, match="data set 'mine': 2 of 3 held-out images are among the training images"):
        check_not_trained_on(in_memory([1, 2, 3]), in_memory([3, 4, 1]), "mine")


CONFIG = MLPConfig(
    model="mlp", dataset="folder", hidden_layer_sizes=(8,), n_epochs=1, batch_size=50, n_steps=2, n_samples=0
)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A directory of 80 different images."""
    directory = tmp_path / "images"
    directory.mkdir()
    for index, image in enumerate(np.random.RandomState(0).randint(0, 256, (80, 4, 4)).astype(np.uint8)):
        Image.fromarray(image).save(directory / f"{index:02d}.png")
    return directory


@pytest.fixture
def run_path(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run trained on them, named by a relative path."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run"
    path.mkdir()
    train_diffusion_model(attrs.evolve(CONFIG, data_dir="images"), path, device="cpu")
    return path


def test_a_run_keeps_fingerprint_and_absolute_path_and_another_run_finds_them_anew(
    run_path: Path, images: Path
) -> None:
    content = json.loads((run_path / "config.json").read_text())
    saved = plugins.saved_config(run_path)
    assert (saved.data_dir, saved.data_dir_absolute) == ("images", str(images))
    assert saved.data_fingerprint == fingerprint(plugins.load(plugins.DATASETS, "folder")(saved, TRAIN))
    assert {"data_fingerprint", "data_dir_absolute"} <= set(content["found_in_data"])
    (images / "00.png").rename(images / "zz.png")
    again = run_path.parent / "again"
    again.mkdir()
    train_diffusion_model(attrs.evolve(saved, seed=1), again, device="cpu")
    assert plugins.saved_config(again).data_fingerprint != saved.data_fingerprint, "the order is another one"


def evaluate(run_path: Path) -> dict[str, dict[str, Any]]:
    results = Evaluator(plugins.saved_config(run_path), run_path, evaluators=["denoising"], device="cpu").evaluate()
    return {record.metadata.name: dict(record.metadata.protocol) for record in results}


def test_evaluation_finds_the_folder_from_anywhere_and_its_protocol_names_the_images(
    run_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_path.parent / "elsewhere").mkdir()
    monkeypatch.chdir(run_path.parent / "elsewhere")
    before = evaluate(run_path)["denoising_loss"]
    Image.new("L", (4, 4), 7).save(images / "added.png")
    Image.new("L", (4, 4), 8).save(images / "another.png")
    held_out = plugins.load(plugins.DATASETS, "folder")(plugins.saved_config(run_path), HELD_OUT)
    after = evaluate(run_path)["denoising_loss"]
    assert after["data_fingerprint"] == fingerprint(held_out)
    assert (before == after) == (len(held_out) == before["n_images"])


def test_resume_refuses_other_data_and_leaves_the_run_as_it_was(run_path: Path, images: Path) -> None:
    before = {path: path.read_bytes() for path in run_path.rglob("*") if path.is_file()}
    for value in range(20):
        Image.new("L", (4, 4), value).save(images / f"added-{value}.png")
    config = attrs.evolve(plugins.saved_config(run_path), n_epochs=2)
    with pytest.raises(ConfigError, match="the training images are not those that this run was trained on"):
        train_diffusion_model(config, run_path, device="cpu", resume=run_path)
    assert {path: path.read_bytes() for path in run_path.rglob("*") if path.is_file()} == before


@pytest.fixture
def run_of_classes(images: Path) -> Path:
    """A run trained on the images in two classes, "ants" and "bees"."""
    for index, path in enumerate(sorted(images.iterdir())):
        (folder := images / ("ants", "bees")[index % 2]).mkdir(exist_ok=True)
        path.rename(folder / path.name)
    run_path = images.parent / "run of classes"
    run_path.mkdir()
    train_diffusion_model(attrs.evolve(CONFIG, data_dir=str(images)), run_path, device="cpu")
    return run_path


@pytest.mark.parametrize(
    ("renamed", "message"),
    [
        ({"ants": "wasps"}, "the classes are now bees, wasps. In training they had other names, so a label may mean"),
        ({"ants": "bees/ants"}, r"shape \(1, 4, 4\) in 1 classes, but the model was trained on .* in 2 classes"),
        ({"ants": "ants/ants"}, None),
    ],
)
def test_evaluation_refuses_labels_that_may_mean_other_classes(
    run_of_classes: Path, images: Path, renamed: dict[str, str], message: str | None
) -> None:
    for name, other in renamed.items():
        aside = (images / name).rename(images.parent / "aside")
        (images / other).parent.mkdir(exist_ok=True)
        aside.rename(images / other)
    if message is None:
        assert evaluate(run_of_classes)
        return
    with pytest.raises(ConfigError, match=message):
        evaluate(run_of_classes)
    assert not (run_of_classes / "evaluations").exists()


def test_evaluation_refuses_images_of_another_shape(run_path: Path, images: Path) -> None:
    for path in images.iterdir():
        with Image.open(path) as image:
            image.resize((6, 6)).save(path)
    with pytest.raises(ConfigError, match=r"images of shape \(1, 6, 6\) in 0 classes, but .* of shape \(1, 4, 4\)"):
        evaluate(run_path)
    assert not (run_path / "evaluations").exists()


def served(monkeypatch: pytest.MonkeyPatch, train: InMemory, held_out: InMemory) -> None:
    """Serve these as the data set ``digits``."""
    load = plugins.load
    fake = {TRAIN: train, HELD_OUT: held_out}
    for place in ("core.diffusion.datasets.base.load", "core.plugins.load"):
        monkeypatch.setattr(
            place, lambda group, name: (lambda _c, split: fake[split]) if name == "digits" else load(group, name)
        )


def test_evaluation_refuses_images_that_were_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = attrs.evolve(CONFIG, dataset="digits")
    served(monkeypatch, in_memory(list(range(100))), in_memory([99, 100, 101]))
    train_diffusion_model(config, tmp_path, device="cpu")
    with pytest.raises(ConfigError, match="1 of 3 held-out images are among the training images"):
        Evaluator(config, tmp_path, device="cpu").evaluate()
    assert not (tmp_path / "evaluations").exists()


def test_evaluation_refuses_a_data_set_that_has_changed_since_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = attrs.evolve(CONFIG, dataset="digits")
    served(monkeypatch, in_memory(list(range(100))), in_memory([200, 201]))
    train_diffusion_model(config, tmp_path, device="cpu")
    served(monkeypatch, in_memory(list(range(50, 150))), in_memory([0, 1]))
    with pytest.raises(ConfigError, match="held-out images may have been trained on"):
        Evaluator(ModelConfig(**{"model": "mlp"}), tmp_path, device="cpu").evaluate()
