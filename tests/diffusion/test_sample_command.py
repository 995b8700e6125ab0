"""``pyml-sample``: what it writes, where, and what it refuses."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from core.commands.sample import sample
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.sample_export import check_output
from core.diffusion.sampling import generate
from core.diffusion.trained import load_denoiser

Invoke = Callable[..., tuple[int, str, str]]
CPU = torch.device("cpu")


@pytest.fixture
def run_path(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run that may be sampled from."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


@pytest.fixture
def invoke(run_command: Invoke) -> Invoke:
    return lambda *arguments: run_command(sample, *arguments, "--device", "cpu")


def test_an_npz_file_holds_images_classes_and_setting(
    run_path: Path, trained_config: ModelConfig, tmp_path: Path, invoke: Invoke
) -> None:
    code, out, _ = invoke(run_path, "--n", 25, "-o", tmp_path / "samples.npz", "--seed", 3)
    assert code == 0
    assert "25 samples. Written to" in out
    with np.load(tmp_path / "samples.npz") as written:
        images, labels, setting = written["images"], written["labels"], json.loads(str(written["setting"]))
    assert (images.dtype, images.shape) == (np.float32, (25, 1, 8, 8))
    assert labels.tolist() == [i % 10 for i in range(25)]
    assert (setting["seed"], setting["n_steps"], setting["sampler"]) == (3, 3, "heun")
    model, config = load_denoiser(run_path, trained_config, CPU), attrs.evolve(trained_config, seed=3)
    assert torch.equal(torch.from_numpy(images), next(generate(model, config, 25, CPU)).images)


def test_the_sampler_may_be_another_than_in_training(
    run_path: Path, trained_config: ModelConfig, tmp_path: Path, invoke: Invoke
) -> None:
    changed = ["--sampler", "euler", "--sigma-min", "0.01", "--schedule=flow"]
    assert invoke(run_path, "--n", 5, "-o", tmp_path / "samples.npz", *changed)[0] == 0
    with np.load(tmp_path / "samples.npz") as written:
        images = torch.from_numpy(written["images"])
        setting = json.loads(str(written["setting"]))
    assert (setting["sampler"], setting["schedule"]) == ("euler", "flow")
    config = attrs.evolve(trained_config, sampler="euler", schedule="flow")
    assert torch.equal(images, next(generate(load_denoiser(run_path, config, CPU), config, 5, CPU)).images)
    code, _, err = invoke(run_path, "--sampler", "heum", "--rho", "0")
    assert (code, "--sampler: got 'heum'" in err, "--rho: got '0'" in err) == (2, True, True)
    assert invoke(run_path, "--exact-trace-up-to", "5")[0] == 2, "it has no likelihood"


def test_a_directory_gets_one_picture_each(run_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    assert invoke(run_path, "--n", 12, "-o", tmp_path / "new" / "pictures")[0] == 0
    invoke(run_path, "--n", 12, "-o", tmp_path / "samples.npz")
    files = sorted((tmp_path / "new" / "pictures").iterdir())
    assert [path.name for path in files] == [f"{index:06d}.png" for index in range(12)]
    with Image.open(files[11]) as picture, np.load(tmp_path / "samples.npz") as written:
        pixels, image = np.asarray(picture), written["images"][11, 0]
    assert pixels.shape == (8, 8)
    assert np.abs(pixels - (image.clip(-1, 1) + 1) * 127.5).max() <= 0.5001


def test_shares_make_all_samples_together(run_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    output = tmp_path / "samples.npz"
    code, out, _ = invoke(run_path, "--n", 30, "--shard", "2/2", "-o", output)
    assert code == 0
    assert "15 of 30 samples are made; the others belong to other shares" in out
    assert not output.exists()
    assert invoke(run_path, "--n", 30, "--shard", "1/2", "-o", output)[0] == 0
    with np.load(output) as written:
        assert len(written["images"]) == 30


def test_the_runs_own_number_is_kept_in_the_run(run_path: Path, invoke: Invoke) -> None:
    code, out, _ = invoke(run_path)
    assert code == 0
    assert re.search(r"60 samples\. Kept in .*/run/samples/3-steps-seed-0-", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "samples.npy"], "got 'samples.npy'; accepted: a file ending in .npz, or a directory"),
        (["-o", "nowhere/samples.npz"], "there is no directory nowhere"),
        (["--shard", "3/2"], "got '3/2'; accepted: I/N with I from 1 to N"),
        (["--n", "0"], "0 is not in the range x>=1"),
    ],
)
def test_wrong_usage_makes_nothing(
    run_path: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted((run_path / "samples").iterdir())
    code, _, err = invoke(run_path, *arguments)
    assert code == 2
    assert message in err
    assert sorted((run_path / "samples").iterdir()) == before


def test_data_that_are_no_pictures_go_to_an_npz_file(tmp_path: Path) -> None:
    check_output(tmp_path / "points.npz", (2,))
    with pytest.raises(ConfigError, match=r"data of shape \(2,\) are no pictures; name a file ending in .npz instead"):
        check_output(tmp_path / "points", (2,))
    (tmp_path / "taken.npz").mkdir()
    with pytest.raises(ConfigError, match="is a directory; accepted"):
        check_output(tmp_path / "taken.npz", (2,))
