"""Training: what it leaves, that it repeats itself, stops where it should, and goes on to the bit."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.model import Denoiser, Identity
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model
from core.diffusion.training import epoch
from core.diffusion.training.checkpoints import CheckpointError, checkpoint_path
from core.diffusion.training.curve import TrainingDivergedError
from core.runs.files import read_json_lines
from core.runs.result_log import read_result_log
from core.runs.status import run_status
from core.utils.signals import RunInterrupted

Curve = Callable[[Path], dict[int, dict[str, Any]]]


def test_a_run_leaves_all_that_the_design_lists(trained_run: Path) -> None:
    left = {str(path.relative_to(trained_run)) for path in trained_run.rglob("*") if path.is_file()}
    assert left == {
        "config.json",
        "environment.json",
        "status.json",
        "metrics.jsonl",
        "results.jsonl",
        "checkpoints/last.pt",
        "samples/step-0000006.png",
        "samples/step-0000012.png",
    }
    assert run_status(trained_run).state == "finished"
    status = json.loads((trained_run / "status.json").read_text())
    assert (status["step"], status["n_steps_total"]) == (12, 12)


def test_the_config_says_what_the_data_decided_and_who_served(trained_run: Path, trained_config: ModelConfig) -> None:
    saved = json.loads((trained_run / "config.json").read_text())
    assert saved["plugins"]["model"]["name"] == "mlp"
    assert saved["plugins"]["dataset"]["distribution"] == "pyml-core"
    assert plugins.saved_config(trained_run) == trained_config


def test_the_curve_has_a_line_per_epoch_with_every_image_counted(trained_run: Path, curve: Curve) -> None:
    lines = curve(trained_run)
    assert list(lines) == [3, 6, 9, 12]
    assert [line["epoch"] for line in lines.values()] == [1, 2, 3, 4]
    for line in lines.values():
        measures = line["measures"]
        assert (measures["loss"]["n"], measures["grad_norm"]["n"]) == (1438, 3)
        by_sigma = [measure for name, measure in measures.items() if name.startswith("loss/")]
        assert sum(measure["n"] for measure in by_sigma) == 1438
        parts = sum(measure["mean"] * measure["n"] for measure in by_sigma) / 1438
        assert parts == pytest.approx(measures["loss"]["mean"])


def test_training_lowers_the_loss(tiny: MLPConfig, tmp_path: Path, curve: Curve) -> None:
    train_diffusion_model(
        attrs.evolve(tiny, n_epochs=40, learning_rate=1e-2, checkpoint_every_epochs=40), tmp_path, device="cpu"
    )
    losses = [line["measures"]["loss"]["mean"] for line in curve(tmp_path).values()]
    assert losses[0] == pytest.approx(1, abs=0.2)
    assert losses[-1] < 0.85


def test_the_time_it_took_is_a_result_of_the_run(trained_run: Path) -> None:
    log = read_result_log(trained_run)
    assert not log.faults
    times = {record.metadata.name: record.result for record in log.newest()}
    assert set(times) == {"time/train", "time/epoch"}
    assert times["time/epoch"].n == 4
    assert times["time/train"].mean >= 4 * times["time/epoch"].mean > 0


def test_two_runs_with_one_seed_are_equal_byte_for_byte(
    tiny: MLPConfig, trained_run: Path, tmp_path: Path, curve: Curve
) -> None:
    torch.manual_seed(999)  # the caller's own state must make no difference
    train_diffusion_model(tiny, tmp_path, device="cpu")
    for name in ("config.json", "checkpoints/last.pt", "samples/step-0000012.png"):
        assert (tmp_path / name).read_bytes() == (trained_run / name).read_bytes(), name
    assert curve(tmp_path) == curve(trained_run)


def test_another_seed_gives_another_model_on_the_same_split(
    tiny: MLPConfig, trained_run: Path, tmp_path: Path, curve: Curve
) -> None:
    train_diffusion_model(attrs.evolve(tiny, seed=1), tmp_path, device="cpu")
    assert curve(tmp_path)[12] != curve(trained_run)[12]


def test_the_callers_generators_are_left_as_they_were(tiny: MLPConfig, tmp_path: Path) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    expected = (torch.randn(3), np.random.rand(3))
    torch.manual_seed(5)
    np.random.seed(5)
    train_diffusion_model(attrs.evolve(tiny, n_epochs=1), tmp_path, device="cpu")
    assert torch.equal(torch.randn(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


def test_the_returned_model_has_the_averaged_weights(tiny: MLPConfig, tmp_path: Path) -> None:
    model = train_diffusion_model(tiny, tmp_path, device="cpu")
    assert isinstance(model, Denoiser)
    assert not model.training
    saved = torch.load(checkpoint_path(tmp_path), weights_only=True)["ema"]
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


class StopAfter:
    """Asks for a stop once it has been asked a number of times."""

    def __init__(self, n_steps: int) -> None:
        self.left = n_steps

    def __call__(self) -> RunInterrupted | None:
        self.left -= 1
        return RunInterrupted("interrupted by SIGTERM", 143) if self.left == 0 else None


@pytest.mark.parametrize("n_steps", [1, 4, 6, 7])
def test_a_stopped_run_resumes_to_the_bit(
    tiny: MLPConfig, trained_run: Path, tmp_path: Path, n_steps: int, assert_same_run: Callable[[Path, Path], None]
) -> None:
    with pytest.raises(RunInterrupted, match="SIGTERM"):
        train_diffusion_model(tiny, tmp_path, device="cpu", stop=StopAfter(n_steps))
    assert run_status(tmp_path).state == "interrupted"
    assert torch.load(checkpoint_path(tmp_path), weights_only=True)["step"] == n_steps
    train_diffusion_model(tiny, tmp_path, device="cpu", resume=tmp_path)
    assert run_status(tmp_path).state == "finished"
    assert_same_run(tmp_path, trained_run)


def test_a_finished_run_goes_on_with_more_epochs(
    tiny: MLPConfig, trained_run: Path, tmp_path: Path, assert_same_run: Callable[[Path, Path], None]
) -> None:
    train_diffusion_model(attrs.evolve(tiny, n_epochs=2), tmp_path, device="cpu")
    train_diffusion_model(tiny, tmp_path, device="cpu", resume=tmp_path)
    assert_same_run(tmp_path, trained_run)
    wall_times = [row["wall_time_s"] for row in read_json_lines(tmp_path / "metrics.jsonl")[0]]
    assert wall_times == sorted(wall_times)


def test_resuming_without_a_checkpoint_says_so(tiny: MLPConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        train_diffusion_model(tiny, tmp_path, device="cpu", resume=tmp_path)
    assert list(tmp_path.iterdir()) == [], "a run that cannot go on stays as it was"


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy, good = Denoiser.loss, []

    def poisoned(*arguments: Any) -> torch.Tensor:
        good.append(checkpoint_path(tmp_path).read_bytes() if checkpoint_path(tmp_path).exists() else b"")
        losses = healthy(*arguments)
        return losses * math.nan if len(good) >= 8 else losses

    monkeypatch.setattr(Denoiser, "loss", poisoned)
    with pytest.raises(TrainingDivergedError, match="diverged at step 8: loss nan"):
        train_diffusion_model(tiny, tmp_path, device="cpu")
    assert checkpoint_path(tmp_path).read_bytes() == good[7] != b""
    assert torch.load(checkpoint_path(tmp_path), weights_only=True)["step"] == 6
    status = run_status(tmp_path)
    assert (status.state, "step 8" in str(status.reason)) == ("failed", True)


def test_a_stop_after_divergence_does_not_overwrite_the_good_checkpoint(
    tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Denoiser, "loss", lambda model, x, *_: model(x, torch.ones(()), _[-1]).flatten(1).mean(1) * math.nan
    )
    with pytest.raises(TrainingDivergedError, match="diverged at step 1"):
        train_diffusion_model(tiny, tmp_path, device="cpu", stop=StopAfter(1))
    assert not checkpoint_path(tmp_path).exists()


def test_progress_counts_every_step(tiny: MLPConfig, tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    train_diffusion_model(tiny, tmp_path, device="cpu", progress=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(step, 12) for step in range(1, 13)]
    assert calls[-1][2].startswith("epoch 4, loss ")  # the last epoch's own loss


def test_warm_up_rises_in_a_straight_line(tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = epoch.train_step

    def recording(state: Any, *batch: Any) -> None:
        step(state, *batch)
        rates.append(state.optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(epoch, "train_step", recording)
    train_diffusion_model(attrs.evolve(tiny, n_epochs=2, learning_rate=0.004), tmp_path, device="cpu")
    assert rates == pytest.approx([0.001, 0.002, 0.003, 0.004, 0.004, 0.004])


def test_identity_takes_dummy_tensors_and_says_that_it_is_a_placeholder(tmp_path: Path) -> None:
    words: list[str] = []
    model = train_diffusion_model(ModelConfig(), tmp_path, progress=lambda _step, _total, text: words.append(text))
    assert isinstance(model, Identity)
    assert "'identity' is a placeholder" in words[-1]
    names = [record.metadata.name for record in read_result_log(tmp_path).newest()]
    assert names == ["placeholder/train", "time/train"]
    assert run_status(tmp_path).state == "finished"


@pytest.mark.parametrize(
    ("fields", "device", "message"),
    [
        ({"model": "mpl"}, "cpu", r"unknown model 'mpl'\. Did you mean 'mlp'\?"),
        ({"model": "mlp", "dataset": "digit"}, "cpu", "Did you mean 'digits'"),
        ({}, "tpu9", "device: got 'tpu9'; accepted: auto, cpu, cuda"),
        ({}, "meta", "device: got 'meta'; accepted: auto, cpu, cuda"),
        ({}, "cuda:99", "torch sees . GPUs"),
    ],
)
def test_what_is_not_there_is_named_and_nothing_is_written(
    fields: dict[str, Any], device: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train_diffusion_model(ModelConfig(**fields), tmp_path, device=device)
    assert list(tmp_path.iterdir()) == []


def test_a_plain_model_config_serves_a_model_with_fields_of_its_own(tmp_path: Path) -> None:
    config = ModelConfig(model="mlp", n_epochs=1, batch_size=1000, hidden_layer_sizes=(8,), n_steps=2)
    train_diffusion_model(config, tmp_path, device="cpu")
    assert isinstance(plugins.saved_config(tmp_path), MLPConfig)


def test_by_option_a_step_that_is_not_finite_is_left_out_and_counted(
    tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, curve: Curve
) -> None:
    healthy, n_calls = Denoiser.loss, []

    def sometimes_poisoned(*arguments: Any) -> torch.Tensor:
        n_calls.append(1)
        return healthy(*arguments) * (math.inf if len(n_calls) in {5, 6} else 1.0)

    monkeypatch.setattr(Denoiser, "loss", sometimes_poisoned)
    train_diffusion_model(attrs.evolve(tiny, skip_nonfinite=True), tmp_path, device="cpu")
    skipped = [line["measures"]["skipped"]["mean"] for line in curve(tmp_path).values()]
    assert skipped == pytest.approx([0, 2 / 3, 0, 0])
    assert all(math.isfinite(line["measures"]["loss"]["mean"]) for line in curve(tmp_path).values())
    state = torch.load(checkpoint_path(tmp_path), weights_only=True)
    assert state["step"] == 12
    assert all(value.isfinite().all() for value in state["weights"].values())


def test_a_run_in_which_every_step_was_skipped_has_failed(
    tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = Denoiser.loss
    monkeypatch.setattr(Denoiser, "loss", lambda *arguments: healthy(*arguments) * math.inf)
    with pytest.raises(TrainingDivergedError, match="all 12 steps were skipped because no gradient was finite"):
        train_diffusion_model(attrs.evolve(tiny, skip_nonfinite=True), tmp_path, device="cpu")
    assert run_status(tmp_path).state == "failed"


def test_the_speed_of_a_resumed_epoch_counts_the_images_that_were_trained_on(
    tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that ticks once per reading makes every use of a timer one second long."""
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    with pytest.raises(RunInterrupted):
        train_diffusion_model(attrs.evolve(tiny, n_epochs=2), tmp_path, device="cpu", stop=StopAfter(2))
    train_diffusion_model(attrs.evolve(tiny, n_epochs=2), tmp_path, device="cpu", resume=tmp_path)
    rows, _ = read_json_lines(tmp_path / "metrics.jsonl")
    assert [row["images_per_s"] for row in rows] == [438.0, 1438.0]
    times = {record.metadata.name: record.result for record in read_result_log(tmp_path).newest()}
    assert times["time/epoch"].n == 1, "the rest of an epoch is no observation of an epoch's time"


def test_the_environment_says_how_many_threads(trained_run: Path) -> None:
    assert json.loads((trained_run / "environment.json").read_text())["n_threads"] == 1


def test_bf16_trains_to_about_the_same_loss_with_weights_in_float32(
    tiny: MLPConfig, trained_run: Path, tmp_path: Path, curve: Curve
) -> None:
    train_diffusion_model(attrs.evolve(tiny, precision="bf16"), tmp_path, device="cpu")
    one, other = (curve(path)[12]["measures"]["loss"]["mean"] for path in (tmp_path, trained_run))
    assert one != other
    assert one == pytest.approx(other, rel=0.02)
    weights = torch.load(checkpoint_path(tmp_path), weights_only=True)["weights"]
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_the_curve_says_how_many_images_a_second(trained_run: Path) -> None:
    rows, _ = read_json_lines(trained_run / "metrics.jsonl")
    gaps = np.diff([0.0, *(row["wall_time_s"] for row in rows)])
    for row, gap in zip(rows, gaps, strict=True):
        assert row["images_per_s"] >= 1438 / gap  # the epoch alone, without what stands between epochs
