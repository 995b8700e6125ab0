"""The Fréchet distance as an evaluator: its floor, its excess, its groups, and images of any size."""

import math
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from core.config.config import ModelConfig
from core.diffusion.datasets.base import HELD_OUT, TRAIN, InMemory
from core.diffusion.datasets.packaged import digits
from core.diffusion.distances.frechet import Frechet
from core.diffusion.evaluators.sampling import SamplingEvaluator
from core.diffusion.sampling import generate
from core.diffusion.trained import load_denoiser
from core.utils.results import ResultCollection, ResultRecord


@pytest.fixture
def run_path(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run that may be evaluated."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def by_name(results: ResultCollection) -> dict[str, ResultRecord]:
    return {record.metadata.name: record for record in results}


def value(one: torch.Tensor, other: torch.Tensor) -> float:
    a, b = (images.clamp(-1, 1).flatten(1).double().numpy() for images in (one, other))
    return Frechet(a, b, np.zeros(len(a), dtype=np.int64), np.zeros(len(b), dtype=np.int64)).value()


def test_the_floor_takes_as_many_training_images_as_there_are_samples(
    run_path: Path, trained_config: ModelConfig
) -> None:
    train, held_out = (digits(trained_config, split).tensors[0] for split in (TRAIN, HELD_OUT))
    for n_samples, expected in ((60, 60), (1500, 1438)):
        config = attrs.evolve(trained_config, n_samples=n_samples)
        results = by_name(SamplingEvaluator(config, run_path).evaluate())
        sampled, floor = results["frechet_distance"], results["frechet_distance/floor"]
        assert dict(floor.metadata.protocol)["n_samples"] == expected
        assert dict(floor.metadata.protocol)["n_reference"] == 359
        assert dict(sampled.metadata.protocol)["n_samples"] == n_samples
        assert (sampled.metadata.role, floor.metadata.role) == ("primary", "reference")
    assert floor.result.mean == pytest.approx(value(train, held_out), rel=1e-9)
    assert floor.result.mean < sampled.result.mean  # the tiny model has hardly learnt


def test_the_excess_compares_equal_numbers(run_path: Path, trained_config: ModelConfig) -> None:
    train, held_out = (digits(trained_config, split).tensors[0] for split in (TRAIN, HELD_OUT))
    config = attrs.evolve(trained_config, n_samples=1500)
    excess = by_name(SamplingEvaluator(config, run_path).evaluate())["frechet_distance/excess"]
    model = load_denoiser(run_path, trained_config, torch.device("cpu"))
    made = torch.cat([batch.images for batch in generate(model, config, 1500, torch.device("cpu"))])
    assert excess.result.mean == pytest.approx(value(made[:1438], held_out) - value(train, held_out), rel=1e-9)
    assert dict(excess.metadata.protocol)["n_samples"] == 1438


def test_the_excess_of_training_images_is_about_0_and_may_be_negative(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = digits(trained_config, TRAIN).tensors[0]
    found = []
    for start in range(3):
        chosen = images[start::7][:200]
        monkeypatch.setattr(SamplingEvaluator, "samples", lambda _, chosen=chosen: chosen)
        config = attrs.evolve(trained_config, n_samples=200)
        found.append(by_name(SamplingEvaluator(config, run_path).evaluate())["frechet_distance/excess"].result)
    assert all(abs(result.mean) < 3 * result.error for result in found)
    assert any(result.mean < 0 for result in found)


@pytest.mark.parametrize(("n_samples", "groups"), [(60, 6), (230, 20), (10, 1)])
def test_the_protocol_names_the_number_of_groups_there_were(
    run_path: Path, trained_config: ModelConfig, n_samples: int, groups: int
) -> None:
    config = attrs.evolve(trained_config, n_samples=n_samples)
    distance = by_name(SamplingEvaluator(config, run_path).evaluate())["frechet_distance"]
    assert dict(distance.metadata.protocol)["error"] == f"{groups}-group jackknife, reference fixed"
    assert distance.result.n == groups
    assert math.isnan(distance.result.error) == (groups < 2)


def test_colour_images_of_64_pixels_are_evaluated(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = torch.Generator().manual_seed(0)

    def images(n: int) -> torch.Tensor:
        return torch.rand(n, 3, 64, 64, generator=draw) * 2 - 1

    data = InMemory(images(60), torch.zeros(60, dtype=torch.int64), 0)
    monkeypatch.setattr(SamplingEvaluator, "data", lambda *_: data)
    monkeypatch.setattr(SamplingEvaluator, "samples", lambda _: images(40))
    config = attrs.evolve(trained_config, n_samples=40, data_shape=(3, 64, 64), n_classes=0)
    results = SamplingEvaluator(config, run_path).evaluate()
    assert all(math.isfinite(record.result.mean) and record.result.error > 0 for record in results)
