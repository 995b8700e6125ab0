"""Several moving averages of the weights: training keeps each, and evaluations choose one."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from small_configs import TINY

from core import plugins
from core.commands.eval import evaluate
from core.commands.sample import sample
from core.diffusion.eval import Evaluator
from core.diffusion.evaluators.denoising import DenoisingEvaluator
from core.diffusion.models.configs import MLPConfig
from core.diffusion.sharding import ShardedEvaluation, evaluator_of
from core.diffusion.train import train_diffusion_model
from core.diffusion.trained import denoiser_of
from core.diffusion.training.checkpoints import CheckpointError, checkpoint_path, load_checkpoint
from core.runs.result_log import read_result_log
from core.runs.shards import read_shards
from core.utils.results import ResultCollection
from core.utils.signals import RunInterrupted

CPU = torch.device("cpu")
HALF_LIVES = (20_000, 100, 5)
Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run_with_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with three moving averages; tests leave it as it is."""
    path = tmp_path_factory.mktemp("three")
    train_diffusion_model(config_with(HALF_LIVES), path, device="cpu")
    return path


@pytest.fixture
def run_path(run_with_three: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be evaluated."""
    return Path(shutil.copytree(run_with_three, tmp_path / "run"))


def config_with(half_lives: int | tuple[int, ...]) -> MLPConfig:
    short = attrs.evolve(TINY, n_epochs=2, checkpoint_every_epochs=1, n_steps=2, n_samples=20)
    return attrs.evolve(short, ema_half_life_images=half_lives)


def saved(run_path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(checkpoint_path(run_path), weights_only=True)
    return content


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def loss(results: ResultCollection) -> float:
    return results.filter(name="denoising_loss")[0].result.mean


def test_each_average_is_that_of_a_run_with_it_alone(run_with_three: Path, tmp_path: Path) -> None:
    several = saved(run_with_three)
    assert list(several["other_emas"]) == [100, 5]
    averages = {20_000: several["ema"], **several["other_emas"]}
    for half_life in HALF_LIVES:
        path = tmp_path / str(half_life)
        path.mkdir()
        train_diffusion_model(config_with(half_life), path, device="cpu")
        alone = saved(path)
        assert same(alone["ema"], averages[half_life])
        assert same(alone["weights"], several["weights"])
        assert alone["schema"] == "pyml.checkpoint/1"
        assert "other_emas" not in alone
    assert several["schema"] == "pyml.checkpoint/2"


def test_a_resumed_run_has_the_same_averages_to_the_bit(
    run_with_three: Path, tmp_path: Path, assert_same_run: Callable[[Path, Path], None]
) -> None:
    stops = iter([None, None, None, None, RunInterrupted("in the second epoch")])
    with pytest.raises(RunInterrupted, match="in the second epoch"):
        train_diffusion_model(config_with(HALF_LIVES), tmp_path, device="cpu", stop=lambda: next(stops))
    train_diffusion_model(config_with(HALF_LIVES), tmp_path, device="cpu", resume=tmp_path)
    assert_same_run(tmp_path, run_with_three)


def test_evaluation_and_samples_use_the_chosen_average(run_path: Path, run_command: Invoke, tmp_path: Path) -> None:
    measured, images = {}, {}
    for half_life in (None, *HALF_LIVES):
        options = [] if half_life is None else ["--ema-half-life-images", half_life]
        assert run_command(evaluate, run_path, "--evaluator", "denoising", *options, "--device", "cpu")[0] == 0
        record = read_result_log(run_path).entries[-9].record
        assert record.metadata.name == "denoising_loss"
        named = dict(record.metadata.protocol).get("ema_half_life_images")
        assert named == (None if half_life == 20_000 else half_life)
        output = tmp_path / "samples.npz"
        assert run_command(sample, run_path, "--n", 3, "-o", output, *options, "--device", "cpu")[0] == 0
        with np.load(output) as written:
            measured[half_life], images[half_life] = record.result.mean, written["images"]
        model = denoiser_of(
            load_checkpoint(run_path, config_with(HALF_LIVES)), plugins.saved_config(run_path), CPU, "ema", named
        )
        averages = {None: saved(run_path)["ema"], **saved(run_path)["other_emas"]}
        assert same(dict(model.state_dict()), averages[named])
    assert measured[None] == measured[20_000]
    assert np.array_equal(images[None], images[20_000])
    assert len({measured[half_life] for half_life in HALF_LIVES}) == 3
    assert not np.array_equal(images[100], images[5])
    newest = read_result_log(run_path).newest().filter(name="denoising_loss")
    assert len(newest) == 3, "an average does not replace the result of another"
    assert not newest[0].metadata.is_comparable_with(newest[1].metadata)


def test_shares_of_an_evaluation_know_the_average(run_path: Path) -> None:
    config = plugins.saved_config(run_path)
    whole = Evaluator(config, run_path, evaluators=["denoising"], ema_half_life_images=5, device="cpu").evaluate()
    for _ in range(2):
        sharded = ShardedEvaluation(
            Evaluator(config, run_path, evaluators=["denoising"], ema_half_life_images=5, device="cpu")
        )
        sharded.measure(_ + 1, 2)
    setting = read_shards(sharded.directory)[0].setting
    merged = ShardedEvaluation(evaluator_of(setting, config, run_path))
    assert merged.directory == sharded.directory
    assert loss(merged.merge()) == loss(whole)


def test_an_average_that_the_run_does_not_have_is_refused(run_path: Path, run_command: Invoke) -> None:
    lines = (run_path / "results.jsonl").read_bytes()
    for command in (evaluate, sample):
        code, _, err = run_command(command, run_path, "--ema-half-life-images", 7)
        assert (code, "got 7; accepted: 20000, 100, 5, with which the run was trained" in err) == (2, True)
        code, _, err = run_command(command, run_path, "--ema-half-life-images", 5, "--weights", "raw")
        assert (code, "it goes with --weights ema only" in err) == (2, True)
    assert (run_path / "results.jsonl").read_bytes() == lines


def test_a_checkpoint_without_the_average_is_named(run_path: Path) -> None:
    content = saved(run_path)
    del content["other_emas"][5]
    torch.save(content, checkpoint_path(run_path))
    config = plugins.saved_config(run_path)
    with pytest.raises(CheckpointError, match=r"last.pt: has no moving average with a half-life of 5 images"):
        train_diffusion_model(attrs.evolve(config, n_epochs=3), run_path, device="cpu", resume=run_path)
    evaluator = DenoisingEvaluator(config, run_path)
    evaluator.settings = attrs.evolve(evaluator.settings, ema_half_life_images=5, device="cpu")
    with pytest.raises(CheckpointError, match=r"has no moving average"):
        evaluator.denoiser()


def test_an_average_that_is_not_finite_is_not_continued(run_path: Path) -> None:
    content = saved(run_path)
    content["other_emas"][100]["out.weight"][0] = float("nan")
    torch.save(content, checkpoint_path(run_path))
    config = attrs.evolve(plugins.saved_config(run_path), n_epochs=3)
    with pytest.raises(CheckpointError, match=r"other_emas 100: .* holds values that are not finite"):
        train_diffusion_model(config, run_path, device="cpu", resume=run_path)
