"""Checkpoints that are kept, and the best one by the loss on validation images."""

import json
import shutil
from collections.abc import Callable, Iterator
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
from core.commands.train import train
from core.config.errors import ConfigError
from core.diffusion import eval as evaluation
from core.diffusion.datasets.base import HELD_OUT, TRAIN, VALIDATION, InMemory, load_data
from core.diffusion.datasets.fingerprint import image_hashes
from core.diffusion.eval import Evaluator
from core.diffusion.model import Denoiser
from core.diffusion.models.configs import MLPConfig
from core.diffusion.sharding import ShardedEvaluation, evaluator_of
from core.diffusion.train import train_diffusion_model
from core.diffusion.trained import load_denoiser
from core.diffusion.training import checkpoints
from core.diffusion.training.checkpoints import CheckpointError, checkpoint_path, load_checkpoint
from core.diffusion.training.random_state import seeded
from core.diffusion.training.validation import N_DRAWS, Best, Validation, better
from core.runs.metrics import best_step, read_curve
from core.runs.result_log import read_result_log
from core.runs.shards import read_shards
from core.utils.results import ResultCollection
from core.utils.signals import RunInterrupted
from results.run import Run
from results.staleness import stale_text

CPU = torch.device("cpu")
Invoke = Callable[..., tuple[int, str, str]]
CONFIG = attrs.evolve(
    TINY, n_epochs=5, checkpoint_every_epochs=1, keep_every_epochs=2, validation_share=0.1, n_steps=2, n_samples=20
)
VALIDATION_LOSSES = [0.9, 0.7, 0.8, 0.7, 0.9]  # of the five epochs: the second one is the first with the lowest


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose best epoch is the second one; tests leave it as it is."""
    path = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        with_losses(patch, VALIDATION_LOSSES)
        train_diffusion_model(CONFIG, path, device="cpu")
    return path


@pytest.fixture
def run_path(whole_run: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be evaluated."""
    return Path(shutil.copytree(whole_run, tmp_path / "20260101T000000000001Z_aaaaaa"))


def with_losses(patch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Replace the loss on the validation images by a loss for each epoch."""
    values: Iterator[float] = iter(losses)
    patch.setattr(Validation, "losses", lambda _self, _denoiser: torch.tensor([next(values)] * 3, dtype=torch.float64))


def content(run_path: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(checkpoint_path(run_path, name), weights_only=True)
    return loaded


def assert_same_content(one: Path, other: Path, name: str) -> None:
    a, b = content(one, name), content(other, name)
    for weights in ("weights", "ema"):
        assert all(torch.equal(a[weights][key], b[weights][key]) for key in b[weights])
    assert all(a[key] == b[key] for key in ("step", "epoch", "best", "meter"))


def loss(results: ResultCollection) -> float:
    return results.filter(name="denoising_loss")[0].result.mean


# The split


def test_validation_images_are_neither_trained_on_nor_held_out() -> None:
    everything = load_data(attrs.evolve(CONFIG, validation_share=0.0), TRAIN)
    parts = [load_data(CONFIG, split) for split in (TRAIN, VALIDATION, HELD_OUT)]
    hashes = [set(image_hashes(part)) for part in parts]
    assert not hashes[0] & hashes[1]
    assert not (hashes[0] | hashes[1]) & hashes[2]
    assert hashes[0] | hashes[1] == set(image_hashes(everything))
    assert len(parts[0]) + len(parts[1]) == len(everything) == 1438
    assert torch.equal(parts[2].tensors[0], load_data(MLPConfig(), HELD_OUT).tensors[0])  # type: ignore[attr-defined] # a TensorDataset
    assert len(parts[1]) == pytest.approx(143.8, abs=4 * np.sqrt(143.8 * 0.9))
    assert set(image_hashes(load_data(attrs.evolve(CONFIG, split_seed=1), VALIDATION))) != hashes[1]


def test_without_a_share_the_training_images_stay_as_they_are() -> None:
    assert MLPConfig().validation_share == 0
    with pytest.raises(ConfigError, match=r"validation_share: 0 of 1,438 .* leaves 1,438 .* and 0 for validation"):
        load_data(attrs.evolve(CONFIG, validation_share=0.0), VALIDATION)


def images_from(monkeypatch: pytest.MonkeyPatch, images: torch.Tensor) -> None:
    data = InMemory(images, torch.arange(len(images)) % 3, n_classes=3)
    monkeypatch.setattr("core.diffusion.datasets.base.load", lambda *_: lambda _config, _split: data)


def test_removing_images_moves_no_other_and_equal_images_are_on_one_side(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(200, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    images_from(monkeypatch, images)
    before = set(image_hashes(load_data(CONFIG, VALIDATION)))
    again = images[50:].repeat(2, 1, 1, 1).flip(0)
    images_from(monkeypatch, again)
    chosen, train = load_data(CONFIG, VALIDATION), load_data(CONFIG, TRAIN)
    left = set(image_hashes(InMemory(images[50:], torch.zeros(150), 3)))
    assert set(image_hashes(chosen)) == before & left
    assert len(chosen) == 2 * len(before & left)
    assert len(chosen) + len(train) == 300
    image, label = chosen[0]
    assert label == next(place for place in range(300) if torch.equal(again[place], image)) % 3


class Lazy:
    """A data set that is not held in memory, and adds noise from torch's generator to each image it returns."""

    data_shape, n_classes, n_levels, split_by_content = (1, 8, 8), 0, 5, True

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 8, 8), index / 50 - 1) + 1e-3 * torch.randn(()), 0


def test_a_data_set_that_is_not_held_in_memory_is_parted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.diffusion.datasets.base.load", lambda *_: lambda _config, _split: Lazy())
    config = attrs.evolve(CONFIG, validation_share=0.3)
    train, validation = load_data(config, TRAIN), load_data(config, VALIDATION)
    indices = [
        sorted(round(float(data[i][0].mean() + 1) * 50) for i in range(len(data))) for data in (train, validation)
    ]
    assert sorted(indices[0] + indices[1]) == list(range(100))
    assert 10 < len(validation) < 50
    assert (validation.n_levels, validation.split_by_content) == (5, True)  # type: ignore[attr-defined] # optional


# Training


def test_the_validation_loss_is_the_models_own_with_fixed_noise() -> None:
    data = load_data(CONFIG, VALIDATION)
    config = attrs.evolve(CONFIG, data_shape=(1, 8, 8), n_classes=10, sigma_data=0.85)

    class Zero(Denoiser):
        def forward(self, x: torch.Tensor, sigma: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
            return torch.zeros_like(x)

    model, validation = Zero(config), Validation(data, CPU)
    before = torch.get_rng_state()
    found = validation.losses(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(found, validation.losses(model))
    with seeded(0, CPU):
        images, labels = torch.stack([data[i][0] for i in range(len(data))]), None
        draws = []
        for _ in range(N_DRAWS):
            sigma = (-1.2 + 1.2 * torch.randn(len(data))).exp()
            torch.randn_like(images)
            weight = (sigma**2 + 0.85**2) / (sigma * 0.85) ** 2
            draws.append(weight * images.square().mean((1, 2, 3)))
    assert labels is None
    assert torch.allclose(found, torch.stack(draws).double().mean(0), rtol=1e-5)


def test_the_best_checkpoint_is_the_first_with_the_lowest_finite_loss() -> None:
    assert better(3, float("nan"), None) is None
    assert better(3, 0.5, None) == Best(3, 0.5)
    assert better(6, 0.5, Best(3, 0.5)) == Best(3, 0.5)
    assert better(6, 0.4, Best(3, 0.5)) == Best(6, 0.4)
    assert better(9, float("inf"), Best(3, 0.5)) == Best(3, 0.5)


def test_checkpoints_are_kept_and_the_best_is_chosen(whole_run: Path) -> None:
    assert sorted(path.name for path in (whole_run / "checkpoints").iterdir()) == [
        *("best.pt", "last.pt", "step-00000006.pt", "step-00000012.pt")
    ]
    points, faults = read_curve(whole_run)
    assert not faults
    assert [point.means["validation_loss"] for point in points] == pytest.approx(VALIDATION_LOSSES)
    assert best_step(whole_run) == 6
    best, last = content(whole_run, "best"), content(whole_run, "last")
    assert checkpoint_path(whole_run, "best").read_bytes() == checkpoint_path(whole_run, "step-6").read_bytes()
    assert (best["step"], last["step"]) == (6, 15)
    assert best["best"] == last["best"] == {"step": 6, "loss": pytest.approx(0.7)}
    assert last["schema"] == "pyml.checkpoint/2"
    config = json.loads((whole_run / "config.json").read_text())["config"]
    assert (config["validation_share"], config["keep_every_epochs"]) == (0.1, 2)


def test_a_real_validation_loss_falls_and_is_not_that_of_the_training_images(tmp_path: Path) -> None:
    config = attrs.evolve(CONFIG, n_epochs=12, batch_size=100, checkpoint_every_epochs=4, keep_every_epochs=None)
    train_diffusion_model(config, tmp_path, device="cpu")
    means = [point.means for point in read_curve(tmp_path)[0]]
    assert ["validation_loss" in mean for mean in means] == [False, False, False, True] * 3
    assert means[11]["validation_loss"] < means[3]["validation_loss"] < 1
    assert content(tmp_path, "best")["step"] == content(tmp_path, "last")["step"] == best_step(tmp_path)


@pytest.mark.parametrize("stops_at", [4, 8])
def test_a_resumed_run_keeps_and_chooses_the_same_checkpoints(
    whole_run: Path,
    tmp_path: Path,
    assert_same_run: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    stops_at: int,
) -> None:
    with_losses(monkeypatch, VALIDATION_LOSSES)
    stops = iter([*[None] * stops_at, RunInterrupted("stopped")])
    with pytest.raises(RunInterrupted, match="stopped"):
        train_diffusion_model(CONFIG, tmp_path, device="cpu", stop=lambda: next(stops))
    train_diffusion_model(CONFIG, tmp_path, device="cpu", resume=tmp_path)
    assert_same_run(tmp_path, whole_run)
    for name in ("best", "step-6", "step-12"):
        assert_same_content(tmp_path, whole_run, name)


def test_a_run_killed_between_the_kept_and_the_last_checkpoint_writes_both_again(
    whole_run: Path, tmp_path: Path, assert_same_run: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    replacing, replaced = checkpoints.replacing, []

    def killed(path: Path) -> Any:
        replaced.append(path.name)
        if replaced.count("last.pt") == 2:  # step-6 and best are on disk
            raise OSError("as good as killed")
        return replacing(path)

    monkeypatch.setattr(checkpoints, "replacing", killed)
    with_losses(monkeypatch, VALIDATION_LOSSES[:2])
    with pytest.raises(OSError, match="as good as killed"):
        train_diffusion_model(CONFIG, tmp_path, device="cpu")
    monkeypatch.undo()
    assert [content(tmp_path, name)["step"] for name in ("step-6", "best", "last")] == [6, 6, 3]
    with_losses(monkeypatch, VALIDATION_LOSSES[1:])
    train_diffusion_model(CONFIG, tmp_path, device="cpu", resume=tmp_path)
    assert_same_run(tmp_path, whole_run)
    assert_same_content(tmp_path, whole_run, "best")


def test_temporary_files_of_kept_checkpoints_are_removed(run_path: Path) -> None:
    left = [run_path / "checkpoints" / f".{name}.pt.0123abcd.tmp" for name in ("best", "step-00000006")]
    for path in left:
        path.write_bytes(b"half")
    config = attrs.evolve(plugins.saved_config(run_path), n_epochs=6)
    train_diffusion_model(config, run_path, device="cpu", resume=run_path)
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize(
    "best", [None, {"step": 6}, {"step": -1, "loss": 0.5}, {"step": 6, "loss": float("nan")}, {"step": 99, "loss": 0.5}]
)
def test_a_best_checkpoint_that_training_never_writes_is_not_continued(run_path: Path, best: object) -> None:
    torch.save({**content(run_path, "last"), "best": best}, checkpoint_path(run_path))
    config = attrs.evolve(plugins.saved_config(run_path), n_epochs=6)
    with pytest.raises(CheckpointError, match=r"training cannot continue from it \(.*(best|step|loss)"):
        train_diffusion_model(config, run_path, device="cpu", resume=run_path)


def test_the_command_says_how_to_evaluate_the_best_checkpoint(experiments: Path, run_command: Invoke) -> None:
    small = ["--model", "mlp", "--hidden-layer-sizes", 8, "--n-epochs", 1, "--n-steps", 2, "--device", "cpu"]
    code, out, _ = run_command(train, *small, "--validation-share", 0.1)
    (run_path,) = experiments.iterdir()
    assert (code, f"Or the best checkpoint: pyml-eval {run_path} --checkpoint best" in out) == (0, True)
    code, _, err = run_command(train, *small, "--validation-share", 0.7)
    assert (code, "--validation-share: got '0.7'; accepted: a finite number, at least 0 and at most 0.5" in err) == (
        2,
        True,
    )


# Evaluation


def test_an_evaluation_of_each_checkpoint_says_which_it_was(
    run_path: Path, run_command: Invoke, tmp_path: Path
) -> None:
    models, images = {}, {}
    for name, step in (("last", 15), ("best", 6), ("step-6", 6), ("step-00000012", 12)):
        code, _, err = run_command(
            evaluate, run_path, "--evaluator", "denoising", "--checkpoint", name, "--device", "cpu"
        )
        assert code == 0, err
        entries = [entry.record for entry in read_result_log(run_path).entries][-9:]
        shown = {"last": None, "step-00000012": "step-12"}.get(name, name)
        assert {dict(record.metadata.protocol).get("checkpoint") for record in entries} == {shown}
        digest = load_checkpoint(run_path, CONFIG, name).digest
        assert {(record.source.step, record.source.digest) for record in entries if record.source} == {(step, digest)}
        models[name] = loss(ResultCollection(entries))
        output = tmp_path / "samples.npz"
        assert run_command(sample, run_path, "--n", 3, "-o", output, "--checkpoint", name, "--device", "cpu")[0] == 0
        with np.load(output) as written:
            images[name] = written["images"]
    assert models["best"] == models["step-6"]
    assert len(set(models.values())) == 3
    assert np.array_equal(images["best"], images["step-6"])
    assert not np.array_equal(images["best"], images["last"])
    weights = load_denoiser(run_path, plugins.saved_config(run_path), CPU, checkpoint="step-12").state_dict()
    assert all(torch.equal(value, content(run_path, "step-12")["ema"][name]) for name, value in weights.items())
    assert len(read_result_log(run_path).newest().filter(name="denoising_loss")) == 4


def test_results_of_kept_checkpoints_are_not_stale_but_those_of_a_former_best_one_are(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = plugins.saved_config(run_path)
    for name in ("last", "best", "step-12"):
        Evaluator(config, run_path, evaluators=["denoising"], checkpoint=name, device="cpu").evaluate()
    assert Run(run_path).stale == {}
    with_losses(monkeypatch, [0.8])
    train_diffusion_model(attrs.evolve(config, n_epochs=6), run_path, device="cpu", resume=run_path)
    run = Run(run_path)
    stale = {dict(metadata.protocol).get("checkpoint") for metadata in run.stale}
    assert (run.last_step, run.best_step, stale) == (18, 6, {None})
    with_losses(monkeypatch, [0.1])
    train_diffusion_model(attrs.evolve(config, n_epochs=7), run_path, device="cpu", resume=run_path)
    run = Run(run_path)
    assert {dict(metadata.protocol).get("checkpoint") for metadata in run.stale} == {None, "best"}
    text = stale_text(run)
    assert "measured at step 6" in text
    assert "the run is at step 21; the best checkpoint is of step 21." in text
    assert f"pyml-eval {run.id} --experiments-dir" in text
    assert text.endswith("--checkpoint best")
    kept = next(metadata for metadata in run.measures if dict(metadata.protocol).get("checkpoint") == "step-12")
    assert len(run.complete_entries(kept)) == 1


def test_shares_of_an_evaluation_know_the_checkpoint(run_path: Path) -> None:
    config = plugins.saved_config(run_path)
    options: dict[str, Any] = {"evaluators": ["denoising"], "checkpoint": "best", "device": "cpu"}
    whole = Evaluator(config, run_path, **options).evaluate()
    sharded = ShardedEvaluation(Evaluator(config, run_path, **options))
    for index in (1, 2):
        sharded.measure(index, 2)
    merged = ShardedEvaluation(evaluator_of(read_shards(sharded.directory)[0].setting, config, run_path))
    assert merged.directory == sharded.directory
    results = merged.merge()
    assert loss(results) == loss(whole)
    assert dict(results[0].metadata.protocol)["checkpoint"] == "best"


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("step-7", "there is no checkpoint; the run has: best, last, step-6, step-12.", 1),
        ("newest", "checkpoint: got 'newest'; accepted: last, best, or step-N", 2),
        ("../last", "checkpoint: got '../last'; accepted: last, best, or step-N", 2),
    ],
)
def test_a_checkpoint_that_is_not_there_is_named(
    run_path: Path, run_command: Invoke, name: str, message: str, code: int
) -> None:
    lines = sorted(run_path.rglob("*"))
    for command in (evaluate, sample):
        found, _, err = run_command(command, run_path, "--checkpoint", name, "--device", "cpu")
        assert message in err
        assert found == code
    assert sorted(run_path.rglob("*")) == lines


def test_an_evaluation_refuses_held_out_images_that_chose_the_checkpoint(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = plugins.saved_config(run_path)
    validation, load = load_data(config, VALIDATION), evaluation.load_data
    monkeypatch.setattr(
        evaluation, "load_data", lambda config, split: validation if split == HELD_OUT else load(config, split)
    )
    with pytest.raises(ConfigError, match=rf"{len(validation)} of {len(validation)} held-out images are among the tr"):
        Evaluator(config, run_path, evaluators=["denoising"], device="cpu").evaluate()
