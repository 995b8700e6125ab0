"""Feature spaces: what each returns, that it is the same every time, and what protocols say of it."""

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.base import TRAIN
from core.diffusion.datasets.packaged import digits
from core.diffusion.eval import Evaluator
from core.diffusion.evaluators import features
from core.diffusion.evaluators.features import FeatureSpace

CPU = torch.device("cpu")


def test_pca_is_that_of_the_training_images(trained_config: ModelConfig) -> None:
    images = digits(trained_config, TRAIN).tensors[0]
    values = images.flatten(1).double().numpy()
    eigenvalues, vectors = np.linalg.eigh(np.cov(values.T))
    found = FeatureSpace("pca_16", trained_config, CPU).of(images)
    assert found.shape == (1438, 16)
    assert found.var(axis=0, ddof=1) == pytest.approx(eigenvalues[::-1][:16], rel=1e-6)
    expected = abs((values - values.mean(axis=0)) @ vectors[:, ::-1][:, :16])
    assert abs(found) == pytest.approx(expected, abs=1e-6)


def test_random_features_are_rectified_and_the_same_every_time(trained_config: ModelConfig) -> None:
    images = digits(trained_config, TRAIN).tensors[0][:50]
    one, other = (FeatureSpace("random_64", attrs.evolve(trained_config, seed=s), CPU).of(images) for s in (0, 1))
    assert (one == other).all()
    assert one.shape == (50, 64)
    assert one.min() == 0
    assert 0.2 < (one > 0).mean() < 0.8


def test_an_evaluation_in_another_space_says_so_and_is_not_comparable(
    run_path: Path, trained_config: ModelConfig
) -> None:
    found = {}
    for space in ("pixels", "pca_16"):
        results = Evaluator(
            trained_config, run_path, evaluators=["frechet", "kid", "nearest"], features=space, device="cpu"
        ).evaluate()
        found[space] = {record.metadata.name: record for record in results}
    for name in ("frechet_distance", "kid", "nearest_distance"):
        one, other = found["pixels"][name], found["pca_16"][name]
        assert dict(other.metadata.protocol)["features"] == "pca_16"
        assert not one.metadata.is_comparable_with(other.metadata)
        assert one.result.mean != other.result.mean


def test_a_space_is_made_once_for_all_evaluators_and_numbers_of_steps(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, statistics = [], features._training_statistics
    monkeypatch.setattr(features, "_training_statistics", lambda config: made.append(1) or statistics(config))
    names, options = ["frechet", "kid", "nearest"], {"features": "pca_16", "n_samples": 40, "device": "cpu"}
    evaluator = Evaluator(trained_config, run_path, evaluators=names, n_steps=[2, 3], **options)
    for n_evaluations in (1, 2):  # the images may change between two evaluations
        evaluator.evaluate()
        assert len(made) == n_evaluations


def test_a_plugins_space_is_named_with_its_version_and_held_to_its_shape(
    trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Foreign:
        distribution, version = "pyml-dino", "2.1"

    returned: Any = None
    monkeypatch.setattr(plugins, "load", lambda *_: lambda _config, _device: lambda images: returned(images))
    monkeypatch.setattr(plugins, "find", lambda *_: Foreign)
    space = FeatureSpace("dino", trained_config, CPU)
    images = torch.zeros(300, 1, 8, 8)
    returned = lambda images: images.flatten(1)[:, :5]  # noqa: E731
    assert space.describe() == "dino (pyml-dino 2.1)"
    assert space.of(images).shape == (300, 5)
    returned = lambda images: images  # noqa: E731
    with pytest.raises(ValueError, match=r"features 'dino': got shape \(250, 1, 8, 8\) for 250 images; accepted: one"):
        space.of(images)
    returned = lambda images: images.flatten(1) / 0  # noqa: E731
    with pytest.raises(ValueError, match="features 'dino': some are not finite"):
        space.of(images)


def test_an_unknown_space_is_refused_before_anything_is_written(run_path: Path, trained_config: ModelConfig) -> None:
    with pytest.raises(ConfigError, match=r"unknown feature space 'pca16'\. Did you mean 'pca_16'"):
        Evaluator(trained_config, run_path, features="pca16", device="cpu")
    assert not (run_path / "evaluations").exists()
