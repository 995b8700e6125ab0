"""Checkpoints: whole or not at all, and never code."""

import hashlib
import os
import pickle
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from core.config.config import ModelConfig
from core.diffusion.trained import load_denoiser
from core.diffusion.training import checkpoints
from core.diffusion.training.checkpoints import (
    CHECKPOINT_SCHEMA,
    KEYS,
    CheckpointError,
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)

CPU = torch.device("cpu")


@pytest.fixture
def run_path(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run whose checkpoint may be spoilt."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def rewrite(run_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = checkpoint_path(run_path)
    state = torch.load(path, weights_only=True)
    torch.save(change(state) or state, path)


def test_ema_and_raw_weights_are_both_there_and_differ(run_path: Path, trained_config: ModelConfig) -> None:
    averaged = load_denoiser(run_path, trained_config, CPU)
    raw = load_denoiser(run_path, trained_config, CPU, "raw")
    pairs = zip(averaged.parameters(), raw.parameters(), strict=True)
    assert not all(torch.equal(one, other) for one, other in pairs)
    assert not averaged.training
    assert not any(parameter.requires_grad for parameter in averaged.parameters())


def test_a_missing_checkpoint_is_said_to_be_missing(tmp_path: Path, trained_config: ModelConfig) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(tmp_path, trained_config)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_said_to_be_truncated(
    run_path: Path, trained_config: ModelConfig, keep: float
) -> None:
    path = checkpoint_path(run_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match=r"last\.pt: is truncated, or was never a checkpoint"):
        load_checkpoint(run_path, trained_config)


class Touch:
    """Makes a file when it is unpickled the careless way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("as_zip", "message"), [(True, r"must not hold \(GLOBAL \w+"), (False, "was never a checkpoint")]
)
def test_loading_a_checkpoint_runs_no_code(
    run_path: Path, trained_config: ModelConfig, tmp_path: Path, as_zip: bool, message: str
) -> None:
    trace = tmp_path / "code-ran"
    if as_zip:
        torch.save({"weights": Touch(trace)}, checkpoint_path(run_path))
    else:
        checkpoint_path(run_path).write_bytes(pickle.dumps(Touch(trace)))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(run_path, trained_config)
    assert not trace.exists()


def test_a_checkpoint_with_spoilt_bytes_inside_is_said_to_be_damaged(
    run_path: Path, trained_config: ModelConfig
) -> None:
    path = checkpoint_path(run_path)
    content = bytearray(path.read_bytes())
    content[100:140] = bytes(40)  # in the pickle of the structure
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged|must not hold"):
        load_checkpoint(run_path, trained_config)


def test_a_flipped_bit_anywhere_in_the_weights_is_found(run_path: Path, trained_config: ModelConfig) -> None:
    path = checkpoint_path(run_path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        largest = sorted(archive.infolist(), key=lambda entry: -entry.file_size)[:20]
    for entry in largest:
        place = entry.header_offset + 30 + len(entry.filename) + entry.file_size // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(CheckpointError, match=r"is damaged \(.*(checksum|CRC)"):
            load_checkpoint(run_path, trained_config)


def test_a_flipped_bit_in_the_directory_of_the_archive_never_changes_the_weights(tmp_path: Path) -> None:
    fields: dict[str, Any] = dict.fromkeys(KEYS - {"schema"})
    save_checkpoint(tmp_path, {**fields, "model": "mlp", "step": 0, "weights": {"w": torch.tensor([0.5, -1.0, 3.0])}})
    path, config = checkpoint_path(tmp_path), ModelConfig(model="mlp")
    content = path.read_bytes()
    start = content.rindex(b"PK\1\2", 0, content.rindex(b"archive/data/0"))
    for bit in range(8 * start, 8 * (start + 46)):  # the entry's 46 bytes before its name
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            weights = load_checkpoint(tmp_path, config).state["weights"]["w"]
        except CheckpointError:
            continue
        assert weights.tolist() == [0.5, -1.0, 3.0], bit - 8 * start


def test_a_compressed_checkpoint_is_refused_before_it_is_expanded(run_path: Path, trained_config: ModelConfig) -> None:
    path = checkpoint_path(run_path)
    with zipfile.ZipFile(path) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    with pytest.raises(CheckpointError, match=r"is damaged \(an entry is compressed"):
        load_checkpoint(run_path, trained_config)


def test_the_digest_is_that_of_the_file(run_path: Path, trained_config: ModelConfig) -> None:
    checkpoint = load_checkpoint(run_path, trained_config)
    expected = hashlib.sha256(checkpoint_path(run_path).read_bytes()).hexdigest()
    assert (checkpoint.step, checkpoint.digest) == (12, f"sha256:{expected}")


def test_a_checkpoint_of_another_model_is_refused(run_path: Path, trained_config: ModelConfig) -> None:
    rewrite(run_path, lambda state: state.update(model="unet"))
    with pytest.raises(CheckpointError, match=r"is of model 'unet', the run's config says 'mlp'"):
        load_checkpoint(run_path, trained_config)


def test_a_checkpoint_of_other_sizes_is_refused(run_path: Path, trained_config: ModelConfig) -> None:
    wider = attrs.evolve(trained_config, hidden_layer_sizes=(64, 64))
    with pytest.raises(CheckpointError, match=r"does not fit the model .*size mismatch"):
        load_denoiser(run_path, wider, CPU)


def test_missing_and_unexpected_keys_are_named(run_path: Path, trained_config: ModelConfig) -> None:
    rewrite(run_path, lambda state: {**{k: v for k, v in state.items() if k != "ema"}, "extra": 1})
    with pytest.raises(CheckpointError, match=r"missing keys \['ema'\], unexpected keys \['extra'\]"):
        load_checkpoint(run_path, trained_config)


@pytest.mark.parametrize("content", [{"schema": "pyml.checkpoint/9"}, [1, 2], {"state_dict": {}}])
def test_a_foreign_file_is_refused(run_path: Path, trained_config: ModelConfig, content: Any) -> None:
    torch.save(content, checkpoint_path(run_path))
    with pytest.raises(CheckpointError, match=r"schema .*; accepted: 'pyml\.checkpoint/1'"):
        load_checkpoint(run_path, trained_config)


def test_the_old_checkpoint_survives_a_crash_during_writing(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = checkpoint_path(run_path).read_bytes()
    state = load_checkpoint(run_path, trained_config).state

    def save_half(_state: Any, file: Any) -> None:
        file.write(before[:1000])
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", save_half)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(run_path, {key: value for key, value in state.items() if key != "schema"})
    assert checkpoint_path(run_path).read_bytes() == before
    assert [path.name for path in checkpoint_path(run_path).parent.iterdir()] == ["last.pt"]


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (lambda path: os.mkfifo(path), "is not a regular file; nothing was loaded"),
    "directory": (lambda path: path.mkdir(), "is not a regular file; nothing was loaded"),
    "endless": (lambda path: path.symlink_to("/dev/zero"), "is a link that leads out of the run; nothing was loaded"),
    "link": (lambda path: path.symlink_to("../../moved"), "is a link that leads out of the run; nothing was loaded"),
    "loop": (lambda path: path.symlink_to(path.name), "is a link that leads to itself|could not be read"),
    "sparse": (lambda path: (path.touch(), os.truncate(path, 1 << 30)), "is truncated, or was never a checkpoint"),
}


@pytest.mark.parametrize("name", ["last", "best", "step-12"])
@pytest.mark.parametrize("damage", REFUSED)
def test_what_is_no_regular_archive_is_refused_before_it_is_read(tmp_path: Path, damage: str, name: str) -> None:
    make, message = REFUSED[damage]
    (tmp_path / "moved").touch()
    path = checkpoint_path(tmp_path / "run", name)
    path.parent.mkdir(parents=True)
    make(path)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=rf"{path.name}: ({message})"):
            load_checkpoint(tmp_path / "run", ModelConfig(model="mlp"), name)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_a_checkpoint_above_the_stated_size_is_refused(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MOST_CHECKPOINT_BYTES", 1000)
    with pytest.raises(CheckpointError, match=r"holds [\d,]+ bytes; accepted: at most 1,000; nothing was loaded"):
        load_checkpoint(run_path, trained_config)


def laughs() -> list[Any]:
    """A list whose text has 2**60 parts, though a file holds it in a few hundred bytes."""
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    return value


@pytest.mark.parametrize("key", ["schema", "model", "step"])
@pytest.mark.parametrize("junk", [None, True, -1, 10**18, 2.5, "x" * 100_000, [7], laughs()], ids=range(8))
def test_a_checkpoint_of_another_kind_is_refused_in_a_short_message(tmp_path: Path, key: str, junk: Any) -> None:
    path = checkpoint_path(tmp_path)
    path.parent.mkdir()
    state = dict.fromkeys(KEYS) | {"schema": CHECKPOINT_SCHEMA, "model": "mlp", "step": 3, key: junk}
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=rf"{key} .*; accepted|step: got|is of model") as raised:
        load_checkpoint(tmp_path, ModelConfig(model="mlp"))
    assert len(str(raised.value)) < 1000 + len(str(path))


def test_a_directory_of_checkpoints_that_is_a_link_out_of_the_run_is_refused(
    run_path: Path, trained_config: ModelConfig
) -> None:
    (run_path / "checkpoints").rename(run_path.parent / "outside")
    (run_path / "checkpoints").symlink_to(run_path.parent / "outside")
    with pytest.raises(CheckpointError, match=r"is a link that leads out of the run; nothing was loaded"):
        load_checkpoint(run_path, trained_config)
    with pytest.raises(OSError, match=r"is a link that leads out of the run"):
        save_checkpoint(run_path, {})
