"""Samples are made once for each setting, go on where they stopped, and are shared out in parts."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from core.config.config import ModelConfig
from core.diffusion import batch_size, sample_store, sampling
from core.diffusion.batch_size import batch_size_for
from core.diffusion.eval import Evaluator
from core.diffusion.sample_store import SampleStore
from core.diffusion.sampling import Samples, generate
from core.diffusion.trained import load_denoiser

CPU = torch.device("cpu")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """The ranges of samples that were really made; parts hold 20 samples."""
    made: list[range] = []

    def counted(*arguments: Any) -> Iterator[Samples]:
        for batch in generate(*arguments):
            made.append(batch.indices)
            yield batch

    monkeypatch.setattr(sample_store, "generate", counted)
    monkeypatch.setattr(sample_store, "SAMPLES_PER_PART", 20)
    return made


def store(path: Path, config: ModelConfig, **changes: Any) -> SampleStore:
    return SampleStore(path, attrs.evolve(config, **changes), "sha256:0", "ema", CPU)


def test_samples_are_those_of_the_generator_and_are_made_once(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range]
) -> None:
    model = load_denoiser(trained_run, trained_config, CPU)
    images = store(tmp_path, trained_config).samples(model, 50)
    expected = torch.cat([batch.images for batch in generate(model, trained_config, 50, CPU)])
    assert images.shape == (50, 1, 8, 8)
    assert torch.allclose(images, expected, atol=1e-5)  # matrix kernels vary with the batch
    assert [indices.start for indices in calls] == [0, 20, 40]
    again = store(tmp_path, trained_config).samples(model, 45)
    assert torch.equal(again, images[:45])
    assert len(calls) == 3
    store(tmp_path, trained_config).samples(model, 61)
    assert calls[3:] == [range(50, 61)]  # only those that were missing


def test_other_settings_share_nothing(trained_config: ModelConfig, tmp_path: Path) -> None:
    one = store(tmp_path, trained_config)
    changed = [{"seed": 1}, {"n_steps": 4}, {"sampler": "euler"}, {"sigma_min": 0.01}, {"rho": 5.0}]
    assert len({one.path, *(store(tmp_path, trained_config, **change).path for change in changed)}) == 6
    other = SampleStore(tmp_path, trained_config, "sha256:1", "ema", CPU)
    raw = SampleStore(tmp_path, trained_config, "sha256:0", "raw", CPU)
    assert len({one.path, other.path, raw.path}) == 3
    assert store(tmp_path, trained_config, n_samples=999).path == one.path


def test_what_a_killed_process_left_is_made_again(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range]
) -> None:
    model = load_denoiser(trained_run, trained_config, CPU)
    images = store(tmp_path, trained_config).samples(model, 40)
    part = store(tmp_path, trained_config).path / "00000020.npy"
    part.write_bytes(part.read_bytes()[:100])
    assert torch.equal(store(tmp_path, trained_config).samples(model, 40), images)
    assert len(calls) == 3


def test_sampling_that_is_stopped_continues_after_its_last_batch(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_denoiser(trained_run, trained_config, CPU)
    whole = store(tmp_path / "whole", trained_config).samples(model, 40)
    monkeypatch.setattr(sampling, "SAMPLES_PER_BATCH", 4)
    calls.clear()

    def stop_at_28(made: int, _in_all: int, _text: str) -> None:
        if made == 28:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(tmp_path, trained_config).make(model, range(40), stop_at_28)
    assert store(tmp_path, trained_config).count(range(40)) == 28
    calls.clear()
    images = store(tmp_path, trained_config).samples(model, 40)
    assert calls == [range(28, 32), range(32, 36), range(36, 40)]
    assert torch.allclose(images, whole, atol=1e-5)  # matrix kernels vary with the batch


def test_a_part_in_which_a_bit_flipped_is_made_again(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range]
) -> None:
    model = load_denoiser(trained_run, trained_config, CPU)
    images = store(tmp_path, trained_config).samples(model, 40)
    part = store(tmp_path, trained_config).path / "00000020.npy"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert torch.equal(store(tmp_path, trained_config).samples(model, 40), images)
    assert calls == [range(20), range(20, 40), range(20, 40)]


@pytest.mark.parametrize(
    "name", ["00000000 copy.npy", "0x.npy", "00000020-old.npy", "\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660.npy"]
)
def test_a_copy_of_a_part_under_another_name_is_left_alone(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range], name: str
) -> None:
    model = load_denoiser(trained_run, trained_config, CPU)
    images = store(tmp_path, trained_config).samples(model, 20)
    place = store(tmp_path, trained_config).path
    shutil.copy(place / "00000000.npy", place / name)
    assert torch.equal(store(tmp_path, trained_config).samples(model, 20), images)
    assert calls == [range(20)]


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


HEADER = _npy(np.zeros((20, 1, 8, 8), np.float32))[:128]
FORGED = {
    "nothing": b"",
    "another shape": _npy(np.zeros((20, 3, 8, 8), np.float32)),
    "no axis": _npy(np.float32(1)),
    "another dtype": _npy(np.zeros((20, 1, 8, 8), np.float64)),
    "no pixels": HEADER,
    "a size that nobody wrote": HEADER.replace(b"(20, 1, 8, 8)", b"(9999999999999, 1, 8, 8)").replace(
        b" " * 12 + b"\n", b"\n"
    ),
    "text": b"no array",
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED)
def test_a_part_with_a_right_checksum_and_no_such_images_is_made_again(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range], content: bytes
) -> None:
    model = load_denoiser(trained_run, trained_config, CPU)
    images = store(tmp_path, trained_config).samples(model, 20)
    part = store(tmp_path, trained_config).path / "00000000.npy"
    part.write_bytes(content + hashlib.sha256(content).digest())
    assert torch.equal(store(tmp_path, trained_config).samples(model, 20), images)
    assert calls == [range(20), range(20)]


@pytest.mark.parametrize("name", ["samples", "samples/SETTING"])
def test_samples_are_neither_read_nor_written_out_of_the_run(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range], name: str
) -> None:
    model, run_path = load_denoiser(trained_run, trained_config, CPU), tmp_path / "run"
    place = run_path / name.replace("SETTING", store(run_path, trained_config).path.name)
    place.parent.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    place.symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match=r"is a link that leads out of the run"):
        store(run_path, trained_config).samples(model, 20)
    assert (calls, list((tmp_path / "outside").iterdir())) == ([], [])


def test_processes_may_each_make_a_range_of_the_samples(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range]
) -> None:
    model, samples = load_denoiser(trained_run, trained_config, CPU), store(tmp_path, trained_config)
    samples.make(model, range(45, 90))
    assert calls == [range(45, 65), range(65, 85), range(85, 90)]
    assert [samples.count(wanted) for wanted in (range(90), range(50), range(45))] == [45, 5, 0]
    samples.make(model, range(45))
    assert samples.count(range(90)) == 90
    whole = store(tmp_path / "whole", trained_config).samples(model, 90)
    assert torch.allclose(samples.samples(model, 90), whole, atol=1e-5)  # matrix kernels vary with the batch
    assert len(calls) == 3 + 3 + 5


def test_all_evaluators_of_an_evaluation_share_the_samples(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, calls: list[range]
) -> None:
    run_path = Path(shutil.copytree(trained_run, tmp_path / "run"))
    names = ["sampling", "kid", "precision_recall", "nearest"]
    Evaluator(trained_config, run_path, evaluators=names, n_samples=40, device="cpu").evaluate()
    assert [indices.start for indices in calls] == [0, 20]
    (setting,) = (run_path / "samples").glob("*/setting.json")
    written = json.loads(setting.read_text())
    assert (written["n_steps"], written["weights"], written["seed"]) == (3, "ema", 0)
    assert written["checkpoint"].startswith("sha256:")
    assert np.load(setting.parent / "00000000.npy").shape == (20, 1, 8, 8)


def test_the_batch_is_what_a_quarter_of_the_free_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(10, 100), torch.nn.Linear(100, 10))
    # 110 float32 outputs of the layers, and the 10 of the container that returns them: 480 bytes an image
    for free, expected in ((480 * 4 * 7, 7), (2**40, 250), (10, 1)):
        monkeypatch.setattr(batch_size, "_free_bytes", lambda _, free=free: free)
        assert batch_size_for(model, lambda: model(torch.zeros(1, 10)), CPU, 250) == expected
    assert not any(module._forward_hooks for module in model.modules())
