"""Values per sample that cannot be used: a fault that compare reports, never a silent change of the test."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import Invoke
from written_runs import finished, measure, record, write_run

WORDS = ("compare", "model=mlp", "model=unet")
VALUES = np.linspace(0.1, 0.9, 40) ** 2


def content(values: np.ndarray, *, compressed: bool = False) -> bytes:
    """Return an npz as docs/run_directory.md describes it."""
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, sample_id=np.arange(len(values)), value=values, metadata=np.array(json.dumps(measure())))
    return buffer.getvalue()


def write_pair(experiments: Path, of_unet: bytes) -> Path:
    """Write a run of each model with values per sample; return the file of the second."""
    for number, (model, npz) in enumerate((("mlp", content(VALUES + 0.1)), ("unet", of_unet))):
        lines = [record(0.4 - 0.1 * number, evaluation="eval-0001", n=len(VALUES)), finished("eval-0001")]
        path = write_run(experiments, number, lines, model=model, seed=0) / "values" / "eval-0001" / "loss.npz"
        path.parent.mkdir(parents=True)
        path.write_bytes(npz)
    return path


def flipped(npz: bytes) -> bytes:
    """Return a file with a damaged byte within its first compressed array."""
    at = npz.index(b"sample_id.npy") + 60
    return npz[:at] + bytes(255 - byte for byte in npz[at : at + 40]) + npz[at + 40 :]


def test_whole_files_are_paired_without_a_fault(experiments: Path, invoke: Invoke) -> None:
    write_pair(experiments, content(np.flip(VALUES)))
    code, out, err = invoke(*WORDS)
    assert (code, err) == (0, "")
    assert "paired over samples, 40 pairs" in out


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_torn_file_is_reported(experiments: Path, invoke: Invoke, share: float, *, compressed: bool) -> None:
    whole = content(VALUES, compressed=compressed)
    path = write_pair(experiments, whole[: int(share * len(whole))])
    code, out, err = invoke(*WORDS)
    assert code == 0
    assert err.startswith(f"Could not be read: {path}: cannot be read (")
    assert "its samples are not paired" in err
    assert "Welch over samples" in out


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_file_is_reported(experiments: Path, invoke: Invoke, *, compressed: bool) -> None:
    path = write_pair(experiments, flipped(content(VALUES, compressed=compressed)))
    code, out, err = invoke(*WORDS)
    assert code == 0
    assert f"Could not be read: {path}: cannot be read (" in err
    assert "Welch over samples" in out


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_reported(experiments: Path, invoke: Invoke, bad: float) -> None:
    path = write_pair(experiments, content(np.where(np.arange(40) == 7, bad, VALUES)))
    code, out, err = invoke(*WORDS)
    assert code == 0
    assert f"Could not be read: {path}: 1 of 40 values are not finite; its samples are not paired" in err
    assert "Welch over samples" in out
    code, _, err = invoke(*WORDS, "--format", "json")
    assert (code, str(path) in err) == (0, True)


def test_the_values_of_several_seeds_are_checked_too(experiments: Path, invoke: Invoke) -> None:
    bad = None
    for number in range(4):
        model, values = ("mlp", "mlp", "unet", "unet")[number], VALUES + 0.01 * number**2
        lines = [record(float(values.mean()), evaluation="eval-0001", n=40), finished("eval-0001")]
        path = write_run(experiments, number, lines, model=model, seed=number % 2) / "values/eval-0001/loss.npz"
        path.parent.mkdir(parents=True)
        bad = path if number == 3 else bad
        path.write_bytes(content(values)[: 100 if number == 3 else None])
    code, _, err = invoke(*WORDS)
    assert code == 0
    assert f"Could not be read: {bad}: cannot be read (" in err
