"""KID, precision and recall, the corrected distance and the test of memorisation, as evaluators report them."""

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import HELD_OUT, TRAIN
from core.diffusion.datasets.packaged import digits
from core.diffusion.eval import Evaluator
from core.diffusion.evaluators.kid import KIDEvaluator
from core.diffusion.evaluators.nearest import NearestEvaluator
from core.diffusion.evaluators.precision_recall import PrecisionRecallEvaluator
from core.diffusion.evaluators.samples import SampleEvaluator
from core.utils.results import ResultRecord


def real(config: ModelConfig, split: str, n: int) -> torch.Tensor:
    images = digits(config, split).tensors[0]
    return images[torch.arange(n) * len(images) // n]


@pytest.fixture
def sampled_for_real(trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> ModelConfig:
    """A config of 300 samples, whose samples are training images: what a perfect model would return, or a copier."""
    monkeypatch.setattr(SampleEvaluator, "samples", lambda self: real(self.config, TRAIN, self.config.n_samples))
    return attrs.evolve(trained_config, n_samples=300)


def evaluate(config: ModelConfig, run_path: Path, name: str, **arguments: str) -> dict[str, ResultRecord]:
    results = Evaluator(config, run_path, evaluators=[name], device="cpu", **arguments).evaluate()
    return {record.metadata.name: record for record in results}


def test_kid_is_the_unbiased_estimate_over_rounds_of_classes(run_path: Path, sampled_for_real: ModelConfig) -> None:
    config = attrs.evolve(sampled_for_real, n_samples=307)  # the last 7 make no whole round
    (record,) = KIDEvaluator(config, run_path).evaluate()
    x = real(config, TRAIN, 307)[:300].flatten(1).double().numpy()
    y = real(config, HELD_OUT, 359).flatten(1).double().numpy()
    gram, other, across = ((a @ b.T / 64 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    different = np.arange(300)[:, None] // 10 != np.arange(300) // 10
    expected = gram[different].mean() + (other.sum() - np.trace(other)) / (359 * 358) - 2 * across.mean()
    assert record.result.mean == pytest.approx(expected, rel=1e-8)
    assert (record.metadata.unit, record.result.n) == ("round of classes", 30)
    assert abs(record.result.mean) < 3 * record.result.error


def test_kid_of_data_without_classes_is_per_sample(run_path: Path, sampled_for_real: ModelConfig) -> None:
    (record,) = KIDEvaluator(attrs.evolve(sampled_for_real, n_classes=0), run_path).evaluate()
    assert (record.metadata.unit, record.result.n) == ("sample", 300)


def test_real_images_are_precise_and_reach_the_held_out_ones(run_path: Path, sampled_for_real: ModelConfig) -> None:
    precision, recall = PrecisionRecallEvaluator(sampled_for_real, run_path).evaluate()
    assert precision.result.mean > 0.7
    assert recall.result.mean > 0.7
    assert precision.metadata.kind == recall.metadata.kind == "proportion"
    assert 0 < precision.result.error < 0.05


def test_the_corrected_distance_of_real_images_is_about_0(run_path: Path, sampled_for_real: ModelConfig) -> None:
    results = evaluate(sampled_for_real, run_path, "frechet")
    raw, corrected = (results[name].result for name in ("frechet_distance", "frechet_distance/corrected"))
    assert raw.mean > 3 * raw.error
    assert abs(corrected.mean) < 3 * corrected.error
    protocol = dict(results["frechet_distance"].metadata.protocol)
    assert protocol["bias"] == "upwards, read the excess"


@pytest.mark.parametrize(
    ("n_samples", "reason"),
    [(120, "120 samples are fewer than two for each of 64 dimensions; take more, or features of fewer")],
)
def test_too_few_samples_leave_the_corrected_distance_out_and_say_why(
    run_path: Path, sampled_for_real: ModelConfig, n_samples: int, reason: str
) -> None:
    notes: list[str] = []
    config = attrs.evolve(sampled_for_real, n_samples=n_samples)
    results = Evaluator(config, run_path, evaluators=["frechet"], device="cpu", note=notes.append).evaluate()
    assert "frechet_distance/corrected" not in {record.metadata.name for record in results}
    assert notes[0].startswith(f"frechet_distance/corrected is left out: {reason}")
    in_fewer = evaluate(config, run_path, "frechet", features="pca_16")
    assert "frechet_distance/corrected" in in_fewer


def test_copies_are_found_and_held_out_images_are_no_copies(
    run_path: Path, sampled_for_real: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = evaluate(sampled_for_real, run_path, "nearest")["nearest_distance/memorisation_p"]
    assert copies.result.mean < 1e-9
    assert copies.metadata.role == "part"
    monkeypatch.setattr(SampleEvaluator, "samples", lambda self: real(self.config, HELD_OUT, 300))
    fresh = evaluate(sampled_for_real, run_path, "nearest")["nearest_distance/memorisation_p"]
    assert 0.2 < fresh.result.mean < 0.8


def test_too_few_samples_are_refused_by_name(run_path: Path, trained_config: ModelConfig) -> None:
    for evaluator, n_samples in ((PrecisionRecallEvaluator, 4), (KIDEvaluator, 1), (NearestEvaluator, 0)):
        config = attrs.evolve(trained_config, n_samples=n_samples)
        assert not evaluator.supports(config)
        with pytest.raises(ConfigError, match=f"n_samples: got {n_samples}; {evaluator.__name__} needs at least"):
            evaluator(config, run_path)
