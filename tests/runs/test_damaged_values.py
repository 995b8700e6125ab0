"""Damage to values/*.npz: every flipped bit is found, and nothing expands beyond its bound."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.runs import arrays
from core.runs.sample_values import read_clusters, read_values, save_values
from core.utils.metadata import ResultMetadata

METADATA = ResultMetadata("loss", unit="image")
VALUES = {i: float(v) for i, v in enumerate(np.linspace(0, 1, 50))}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    saved = save_values(tmp_path, "eval-0001", "loss", list(VALUES), list(VALUES.values()), METADATA)
    assert saved is not None
    return saved


def test_a_flipped_bit_is_a_fault_or_changes_nothing(tmp_path: Path, path: Path) -> None:
    content = bytearray(path.read_bytes())
    chosen = random.Random(0)
    n_faults = 0
    for _ in range(400):
        damaged = bytearray(content)
        damaged[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        path.write_bytes(damaged)
        values, faults = read_values(tmp_path, "eval-0001", METADATA)
        assert values in (None, VALUES)
        n_faults += bool(faults)
    assert n_faults > 300


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_torn_file_is_a_fault(tmp_path: Path, path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    values, faults = read_values(tmp_path, "eval-0001", METADATA)
    assert values is None
    assert "cannot be read" in str(faults[0])


def test_a_small_file_that_expands_beyond_the_bound_is_refused(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more.npy", b"\0" * 1_000_000)
    monkeypatch.setattr(arrays, "MOST_VALUES_BYTES", 100_000)
    values, faults = read_values(tmp_path, "eval-0001", METADATA)
    assert values is None
    assert "expands to more than 100,000 bytes" in str(faults[0])


def test_a_link_out_of_the_run_is_a_fault(tmp_path: Path, path: Path) -> None:
    path.rename(tmp_path / "outside.npz")
    path.symlink_to(tmp_path / "outside.npz")
    values, faults = read_values(tmp_path, "eval-0001", METADATA)
    assert values is None
    assert "leads out of the run" in str(faults[0])


@pytest.mark.parametrize(
    "about", ["[" * 100_000, '{"a":' * 100_000, "[]", '"x"', "3", "null", "9" * 5000, '{"name": 1e999}', '{"name": "x"']
)
def test_metadata_that_is_no_metadata_is_a_fault(tmp_path: Path, path: Path, about: str) -> None:
    content = {"sample_id": np.arange(3), "value": np.zeros(3), "cluster_id": np.arange(3), "metadata": np.array(about)}
    arrays.write_arrays(path, content)
    values, faults = read_values(tmp_path, "eval-0001", METADATA)
    assert values is None
    assert "cannot be read" in str(faults[0])
    assert read_clusters(tmp_path, "eval-0001", METADATA) is None


def test_values_wider_than_float64_are_a_fault(tmp_path: Path, path: Path) -> None:
    with np.load(path) as file:
        content = {**file, "value": np.full(50, np.longdouble("1e4000"))}
    if content["value"].itemsize == 8:
        pytest.skip("a long double is a double here")
    arrays.write_arrays(path, content)
    values, faults = read_values(tmp_path, "eval-0001", METADATA)
    assert values is None
    assert "accepted: integers and floats of up to 64 bits" in str(faults[0])
