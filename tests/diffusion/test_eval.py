"""Evaluating a run: what is measured, logged, drawn and refused."""

import hashlib
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion import eval as evaluation
from core.diffusion.datasets.base import HELD_OUT, TRAIN
from core.diffusion.datasets.packaged import digits
from core.diffusion.eval import EvaluationError, Evaluator
from core.diffusion.evaluators import denoising, features, likelihood
from core.diffusion.evaluators.base import RunEvaluator
from core.diffusion.evaluators.denoising import LEVELS, DenoisingEvaluator
from core.diffusion.evaluators.kid import KIDEvaluator
from core.diffusion.evaluators.likelihood import LikelihoodEvaluator
from core.diffusion.evaluators.nearest import NearestEvaluator
from core.diffusion.evaluators.sampling import SamplingEvaluator
from core.diffusion.models.mlp import MLP
from core.diffusion.noise import Purpose, SampleNoise
from core.diffusion.sampling import generate
from core.diffusion.train import train_diffusion_model
from core.diffusion.trained import load_denoiser
from core.diffusion.training.checkpoints import CheckpointError, checkpoint_path
from core.runs.result_log import read_result_log
from core.utils import timer as timing
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, ResultSource, ScalarResult

CPU = torch.device("cpu")


@pytest.fixture
def run_path(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run that may be evaluated."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


@pytest.fixture(autouse=True)
def _short_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    """The likelihood has its own tests; over ten labels of an untrained model it would take most of the time here."""
    monkeypatch.setattr(LikelihoodEvaluator, "n_images", 8)
    monkeypatch.setattr(LikelihoodEvaluator, "n_ode_steps", 4)
    monkeypatch.setattr(likelihood, "ROUGH_STEPS", 2)


def by_name(results: ResultCollection) -> dict[str, ScalarResult]:
    return {record.metadata.name: record.result for record in results}


def test_a_run_is_evaluated_by_all_in_the_box_that_support_it(run_path: Path, trained_config: ModelConfig) -> None:
    results = Evaluator(trained_config, run_path, device="cpu").evaluate()
    names = set(by_name(results))
    assert {"denoising_loss", "denoising_loss/sigma_0.5", "frechet_distance", "frechet_distance/floor"} <= names
    assert {"time/eval/denoising", "time/eval/sampling"} <= names
    assert not any(name.startswith("placeholder") for name in names)
    logged = read_result_log(run_path)
    assert not logged.faults
    assert set(results) <= set(logged.newest())
    asked_for = json.loads((run_path / "evaluations/eval-0001.json").read_text())
    assert (asked_for["weights"], asked_for["seed"]) == ("ema", 0)


def test_two_evaluations_of_one_run_agree_to_the_bit(run_path: Path, trained_config: ModelConfig) -> None:
    first, second = (Evaluator(trained_config, run_path, device="cpu").evaluate() for _ in range(2))
    assert [record for record in first if not record.metadata.name.startswith("time/")] == [
        record for record in second if not record.metadata.name.startswith("time/")
    ]
    assert {path.name for path in (run_path / "values").iterdir()} == {"eval-0001", "eval-0002"}
    for name in ("values/eval-000{}/denoising.npz", "samples/eval-000{}-3-steps.png"):
        assert (run_path / name.format(1)).read_bytes() == (run_path / name.format(2)).read_bytes()


def test_denoising_loss_is_that_of_each_held_out_image_averaged_over_draws_first(
    run_path: Path, trained_config: ModelConfig
) -> None:
    results = by_name(DenoisingEvaluator(trained_config, run_path).evaluate())
    data, model = digits(trained_config, HELD_OUT), load_denoiser(run_path, trained_config, CPU)
    images, labels = data.tensors
    level, sigma_data = 0.5, trained_config.sigma_data
    assert sigma_data is not None
    noise = SampleNoise(0, Purpose.DENOISING, range(len(data)), variant=LEVELS.index(level))
    squares = []
    for _ in range(4):
        noisy = images + level * noise.draw((1, 8, 8)).float()
        squares.append((model(noisy, torch.tensor(level), labels) - images).square().mean((1, 2, 3)).numpy())
    losses = np.mean(squares, axis=0) * (level**2 + sigma_data**2) / (level * sigma_data) ** 2
    result = results["denoising_loss/sigma_0.5"]
    assert result.n == len(data) == 359
    assert result.mean == pytest.approx(losses.mean(), rel=1e-5)
    assert result.error == pytest.approx(losses.std(ddof=1) / np.sqrt(359), rel=1e-5)
    levels = [results[f"denoising_loss/sigma_{sigma:g}"].mean for sigma in LEVELS]
    assert results["denoising_loss"].mean == pytest.approx(np.mean(levels), rel=1e-9)


def test_denoising_measures_edms_loss_whatever_loss_the_model_was_trained_on(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses() -> list[float]:
        evaluator = DenoisingEvaluator(trained_config, run_path)
        return [record.result.mean for record in evaluator.evaluate()]

    before = losses()
    for name in ("loss", "loss_weight", "draw_sigmas"):
        monkeypatch.setattr(MLP, name, None)
    assert losses() == before


def test_denoising_sees_the_same_noise_whatever_the_seed_and_nearly_so_whatever_the_batch(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = DenoisingEvaluator(trained_config, run_path).evaluate()
    assert DenoisingEvaluator(attrs.evolve(trained_config, seed=9), run_path).evaluate() == one
    monkeypatch.setattr(denoising, "IMAGES_PER_BATCH", 50)
    for record, other in zip(one, DenoisingEvaluator(trained_config, run_path).evaluate(), strict=True):
        assert other.result.mean == pytest.approx(record.result.mean, rel=1e-5)  # matrix kernels vary with the batch


def test_values_are_kept_per_image_under_the_metadata_of_their_mean(
    run_path: Path, trained_config: ModelConfig
) -> None:
    results = Evaluator(trained_config, run_path, evaluators=["denoising"], device="cpu").evaluate()
    with np.load(run_path / "values/eval-0001/denoising.npz") as values:
        assert (values["sample_id"].dtype, values["value"].dtype) == (np.int64, np.float64)
        assert values["sample_id"].tolist() == list(range(359))
        assert values["value"].mean() == pytest.approx(by_name(results)["denoising_loss"].mean, rel=1e-12)
        assert json.loads(str(values["metadata"]))["name"] == "denoising_loss"


def test_the_grid_shows_the_first_samples_a_column_per_class(run_path: Path, trained_config: ModelConfig) -> None:
    SamplingEvaluator(trained_config, run_path).evaluate()
    with Image.open(run_path / "samples/samples-3-steps.png") as picture:
        grid = np.asarray(picture.convert("L"))
    factor = 6  # 48 pixels for 8
    assert grid.shape == ((6 * 9 + 1) * factor, (10 * 9 + 1) * factor)  # 60 samples in 10 columns
    model = load_denoiser(run_path, trained_config, CPU)
    last = next(generate(model, trained_config, 60, CPU)).images[-1, 0].clamp(-1, 1)
    tile = grid[(1 + 5 * 9) * factor :: factor, (1 + 9 * 9) * factor :: factor][:8, :8]
    assert np.abs(tile - (last.numpy() + 1) * 127.5).max() <= 0.51


def test_each_number_of_steps_has_a_result_and_denoising_runs_once(run_path: Path, trained_config: ModelConfig) -> None:
    results = Evaluator(trained_config, run_path, n_steps=(2, 4), n_samples=30, seed=3, device="cpu").evaluate()
    assert [record.metadata.n_steps for record in results.filter(name="frechet_distance")] == [2, 4]
    assert len(results.filter(name="denoising_loss")) == 1
    assert {path.name for path in (run_path / "samples").glob("eval*")} == {
        "eval-0001-2-steps.png",
        "eval-0001-4-steps.png",
    }


def test_raw_weights_have_results_of_their_own_name(run_path: Path, trained_config: ModelConfig) -> None:
    results = by_name(Evaluator(trained_config, run_path, weights="raw", n_samples=0, device="cpu").evaluate())
    assert "denoising_loss/raw" in results
    assert "denoising_loss" not in results
    averaged = by_name(DenoisingEvaluator(trained_config, run_path).evaluate())
    assert averaged["denoising_loss"] != results["denoising_loss/raw"]


def test_the_config_as_it_was_asked_for_serves_too(run_path: Path, tiny: ModelConfig) -> None:
    assert tiny.data_shape is None
    results = Evaluator(tiny, run_path, evaluators=["denoising"], device="cpu").evaluate()
    assert by_name(results)["denoising_loss"].n == 359


def test_identity_is_evaluated_by_the_placeholder_alone(tmp_path: Path) -> None:
    train_diffusion_model(ModelConfig(), tmp_path)
    words: list[str] = []
    results = Evaluator(ModelConfig(), tmp_path, progress=lambda _a, _b, text: words.append(text)).evaluate()
    assert set(by_name(results)) == {"placeholder/eval", "time/eval/placeholder"}
    assert "placeholder" in words[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"evaluators": ["samplin"]}, r"unknown evaluator 'samplin'\. Did you mean 'sampling'\?"),
        ({"evaluators": ["placeholder"]}, r"evaluator 'placeholder' cannot evaluate a run of model 'mlp'"),
        ({"evaluators": ["sampling"], "n_samples": 0}, r"'sampling' cannot evaluate .* n_samples=0"),
        ({"evaluators": ["sampling"], "n_samples": 1}, r"'sampling' cannot evaluate .* n_samples=1"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(
    run_path: Path, trained_config: ModelConfig, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Evaluator(trained_config, run_path, **arguments)
    assert not (run_path / "evaluations").exists()


def test_an_evaluation_cut_short_is_not_the_runs_result(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_self: SamplingEvaluator) -> ResultCollection:
        raise KeyboardInterrupt

    monkeypatch.setattr(SamplingEvaluator, "evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Evaluator(trained_config, run_path, device="cpu").evaluate()
    log = read_result_log(run_path)
    assert "denoising_loss" in by_name(log.every())
    assert "denoising_loss" not in by_name(log.newest())


def test_an_evaluator_that_fails_costs_its_own_results_only(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: DenoisingEvaluator) -> ResultCollection:
        raise MemoryError("Unable to allocate 14 GB")

    monkeypatch.setattr(DenoisingEvaluator, "evaluate", fail)
    with pytest.raises(EvaluationError, match=r"evaluator 'denoising' failed: MemoryError: Unable to all") as caught:
        Evaluator(trained_config, run_path, evaluators=["denoising", "nearest"], device="cpu").evaluate()
    assert {record.metadata.name for record in caught.value.results} == {
        "nearest_distance",
        "nearest_distance/held_out",
        "nearest_distance/memorisation_p",
        "time/eval/nearest",
    }
    newest = read_result_log(run_path).newest()
    assert all(record in newest for record in caught.value.results), "the others' results are complete"
    assert "denoising_loss" not in by_name(newest)


def test_one_evaluation_reads_one_checkpoint_once_and_every_record_names_it(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training goes on during the evaluation: after the first evaluator there is another checkpoint."""
    content = checkpoint_path(run_path).read_bytes()
    undisturbed = Evaluator(trained_config, run_path, n_samples=30, device="cpu").evaluate()
    evaluate, loads = DenoisingEvaluator.evaluate, []

    def evaluate_while_training_goes_on(self: DenoisingEvaluator) -> ResultCollection:
        results = evaluate(self)
        train_diffusion_model(attrs.evolve(trained_config, n_epochs=5), run_path, device="cpu", resume=run_path)
        assert checkpoint_path(run_path).read_bytes() != content
        loads.clear()
        return results

    monkeypatch.setattr(DenoisingEvaluator, "evaluate", evaluate_while_training_goes_on)
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **keywords: loads.append(args) or load(*args, **keywords))
    results = Evaluator(trained_config, run_path, n_samples=30, seed=7, device="cpu").evaluate()
    assert loads == []
    assert by_name(results)["bits_per_dim"] == by_name(undisturbed)["bits_per_dim"]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    for record in results:
        assert record.source is not None
        assert (record.source.step, record.source.digest, record.source.weights) == (12, digest, "ema"), record
    (distance,) = results.filter(name="nearest_distance")
    assert distance.source == ResultSource(12, digest, "ema", sample_seed=7)
    (loss,) = results.filter(name="denoising_loss")
    assert loss.source == ResultSource(12, digest, "ema", sample_seed=None), "its noise does not depend on the seed"
    assert read_result_log(run_path).newest().filter(name="nearest_distance")[0] == distance


def test_a_run_without_a_checkpoint_says_so(run_path: Path, trained_config: ModelConfig) -> None:
    (run_path / "checkpoints/last.pt").unlink()
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        Evaluator(trained_config, run_path, device="cpu").evaluate()
    assert not (run_path / "evaluations").exists()


class Foreign:
    """An evaluator with no more than it must have."""

    def __init__(self, config: ModelConfig, run_path: Path) -> None:
        self.n_steps = config.n_steps

    def evaluate(self) -> Any:
        return ResultCollection([ResultRecord(ResultMetadata("foreign", n_steps=self.n_steps), ScalarResult(1.0))])


def register_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register ``Foreign`` as the evaluator "foreign"."""
    load, find, ours = plugins.load, plugins.find, plugins.find(plugins.EVALUATORS, "denoising")
    monkeypatch.setattr(plugins, "load", lambda group, name: Foreign if name == "foreign" else load(group, name))
    monkeypatch.setattr(
        plugins,
        "find",
        lambda group, name: ours._replace(name="foreign") if name == "foreign" else find(group, name),
    )


def test_a_foreign_evaluator_needs_no_base_class(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_foreign(monkeypatch)
    results = Evaluator(trained_config, run_path, evaluators=["foreign"], n_steps=[2, 3]).evaluate()
    assert [record.metadata.n_steps for record in results.filter(name="foreign")] == [2, 3]
    digest = f"sha256:{hashlib.sha256(checkpoint_path(run_path).read_bytes()).hexdigest()}"
    assert {record.source for record in results} == {ResultSource(12, digest, sample_seed=0)}
    with pytest.raises(ConfigError, match="evaluator 'foreign' cannot choose the weights"):
        Evaluator(trained_config, run_path, evaluators=["foreign"], weights="raw")
    two = attrs.evolve(trained_config, ema_half_life_images=(20_000, 5))
    with pytest.raises(ConfigError, match="'foreign' cannot choose the weights; leave out --weights, --ema-half"):
        Evaluator(two, run_path, evaluators=["foreign"], ema_half_life_images=5)
    monkeypatch.setattr(Foreign, "evaluate", lambda _self: [1.0])
    with pytest.raises(EvaluationError, match="'foreign' returned a list; accepted: a ResultCollection"):
        Evaluator(trained_config, run_path, evaluators=["foreign"]).evaluate()


def test_the_time_of_an_evaluation_is_that_of_its_work_not_of_loading(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def takes(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*args: Any, **keywords: Any) -> Any:
            now[0] += seconds
            return function(*args, **keywords)

        return slow

    register_foreign(monkeypatch)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(evaluation, "load_data", takes(1000.0, evaluation.load_data))
    monkeypatch.setattr(features, "load_data", takes(100.0, features.load_data))  # for principal components
    monkeypatch.setattr(Foreign, "prepare", lambda _self: takes(10.0, int)(), raising=False)
    for cls, seconds in ((Foreign, 3.0), (KIDEvaluator, 4.0)):
        monkeypatch.setattr(cls, "evaluate", takes(seconds, cls.evaluate))
    evaluator = Evaluator(trained_config, run_path, evaluators=["foreign", "kid"], features="pca_16", device="cpu")
    found = by_name(evaluator.evaluate())
    assert now[0] >= 1000 + 100 + 10 + 3 + 4
    assert (found["time/eval/foreign"].mean, found["time/eval/kid"].mean) == (3.0, 4.0)


IMPORTS = """
import sys
from pathlib import Path
from core import plugins
from core.diffusion import eval as evaluation
from core.diffusion.evaluators.likelihood import LikelihoodEvaluator
from core.utils.utils import Timer

class Counting(Timer):
    def __enter__(self):
        self.before = set(sys.modules)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        print(self.name, *sorted(set(sys.modules) - self.before))

evaluation.Timer = Counting
LikelihoodEvaluator.n_images, LikelihoodEvaluator.n_ode_steps = 2, 1
run_path = Path(sys.argv[1])
names = ["likelihood", "sampling", "nearest", "kid", "precision_recall", "denoising"]
evaluation.Evaluator(plugins.saved_config(run_path), run_path, evaluators=names, device="cpu").evaluate()
"""


def test_nothing_is_imported_while_an_evaluation_is_timed(run_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS, str(run_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    timed = [line for line in lines if line[0] in plugins.in_the_box(plugins.EVALUATORS)]
    assert timed == [["likelihood"], ["sampling"], ["nearest"], ["kid"], ["precision_recall"], ["denoising"]]


def test_a_foreign_evaluator_whose_checkpoint_was_replaced_meanwhile_is_refused(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_foreign(monkeypatch)

    def evaluate(_self: Foreign) -> ResultCollection:
        checkpoint_path(run_path).write_bytes(b"a later one")
        return ResultCollection([ResultRecord(ResultMetadata("foreign"), ScalarResult(1.0))])

    monkeypatch.setattr(Foreign, "evaluate", evaluate)
    with pytest.raises(EvaluationError, match="was replaced while an evaluator that reads it by itself"):
        Evaluator(trained_config, run_path, evaluators=["foreign"]).evaluate()
    assert "foreign" not in by_name(read_result_log(run_path).every())


def test_the_base_class_says_what_to_define(run_path: Path, trained_config: ModelConfig) -> None:
    with pytest.raises(NotImplementedError, match="RunEvaluator must define evaluate"):
        RunEvaluator(trained_config, run_path).evaluate()


def test_nearest_distances_are_those_of_a_search_by_hand(run_path: Path, trained_config: ModelConfig) -> None:
    results = by_name(NearestEvaluator(trained_config, run_path).evaluate())
    train, held_out = (digits(trained_config, split).tensors[0].flatten(1).double() for split in (TRAIN, HELD_OUT))
    samples = next(generate(load_denoiser(run_path, trained_config, CPU), trained_config, 60, CPU)).images
    for name, images in (
        ("nearest_distance", samples.clamp(-1, 1).flatten(1)),
        ("nearest_distance/held_out", held_out),
    ):
        expected = [math.sqrt(min((train - image.double()).square().mean(1).tolist())) for image in images]
        assert results[name].mean == pytest.approx(np.mean(expected), rel=1e-6)
        assert results[name].error == pytest.approx(np.std(expected, ddof=1) / math.sqrt(len(expected)), rel=1e-6)
        assert results[name].n == len(expected)


def test_samples_that_are_training_images_have_distance_0(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = digits(trained_config, TRAIN).tensors[0][:60]
    monkeypatch.setattr(NearestEvaluator, "samples", lambda _: copies)
    results = by_name(NearestEvaluator(trained_config, run_path).evaluate())
    assert results["nearest_distance/memorisation_p"].mean < 1e-9
    assert results["nearest_distance"].mean == pytest.approx(0, abs=1e-6)
    assert results["nearest_distance/held_out"].mean > 0.1


def test_the_jackknife_error_is_about_the_spread_over_seeds(run_path: Path, trained_config: ModelConfig) -> None:
    results = []
    for seed in range(12):
        config = attrs.evolve(trained_config, seed=seed, n_samples=400)
        results.append(SamplingEvaluator(config, run_path).evaluate()[0].result)
    spread = np.std([result.mean for result in results], ddof=1)
    assert np.mean([result.error for result in results]) == pytest.approx(spread, rel=0.6)


def test_frechet_alone_is_the_distance_of_sampling_without_a_grid(run_path: Path, trained_config: ModelConfig) -> None:
    (sampled, *_) = Evaluator(trained_config, run_path, evaluators=["sampling"], device="cpu").evaluate()
    grids = sorted((run_path / "samples").iterdir())
    (alone, *_) = Evaluator(trained_config, run_path, evaluators=["frechet"], device="cpu").evaluate()
    assert alone == sampled
    assert sorted((run_path / "samples").iterdir()) == grids


def test_an_evaluation_by_another_sampler_is_that_of_a_run_which_asked_for_it(
    run_path: Path, trained_config: ModelConfig
) -> None:
    changed = Evaluator(
        trained_config, run_path, evaluators=["nearest"], changes={"sampler": "euler"}, device="cpu"
    ).evaluate()
    asked_for = attrs.evolve(trained_config, sampler="euler")
    assert (
        by_name(changed)["nearest_distance"]
        == by_name(NearestEvaluator(asked_for, run_path).evaluate())["nearest_distance"]
    )
    with pytest.raises(ConfigError, match=r"changes: unknown field of an evaluation 'learning_rate'"):
        Evaluator(trained_config, run_path, changes={"learning_rate": 1.0})
