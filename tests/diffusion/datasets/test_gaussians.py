"""The mixture whose density and denoiser are known, against numerical truths."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from core.config.config import ModelConfig
from core.diffusion.datasets.base import HELD_OUT, TRAIN
from core.diffusion.datasets.gaussians import Mixture, eight_gaussians, gaussians

UNEVEN = Mixture(torch.tensor([[0.0, 0.5], [1.0, -1.0], [-0.3, 0.2]]), torch.tensor([0.2, 0.5, 0.05]))


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_log_density_is_that_of_scipys_normals(sigma: float) -> None:
    x = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 2))
    parts = [
        stats.multivariate_normal(mean, (std**2 + sigma**2) * np.eye(2)).pdf(x)
        for mean, std in zip(UNEVEN.means.numpy(), UNEVEN.stds.numpy(), strict=True)
    ]
    assert UNEVEN.log_density(torch.from_numpy(x), sigma).numpy() == pytest.approx(np.log(np.mean(parts, axis=0)))


def test_denoiser_is_x_plus_sigma_squared_times_the_score() -> None:
    # Tweedie's formula, with the score by automatic differentiation of the log-density
    sigma = 0.4
    x = torch.randn(30, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (score,) = torch.autograd.grad(UNEVEN.log_density(x, sigma).sum(), x)
    expected = (x + sigma**2 * score).detach()
    assert torch.allclose(UNEVEN.denoise(x.detach(), torch.tensor(sigma)), expected)
    assert torch.allclose(UNEVEN.denoise(x.detach(), torch.full((30,), sigma)), expected)


def test_draws_have_the_mixtures_mean_and_density() -> None:
    points = eight_gaussians().draw(20_000, np.random.RandomState(0))
    deviation = math.sqrt(0.8**2 / 2 + 0.1**2)
    assert np.abs(points.mean(axis=0)).max() < 4 * deviation / math.sqrt(20_000)
    assert points.std(axis=0) == pytest.approx([deviation, deviation], rel=0.02)
    # far apart, the components' entropies add: ln 8 + ln(2 pi e 0.1²)
    entropy = -eight_gaussians().log_density(torch.from_numpy(points)).mean().item()
    assert entropy == pytest.approx(math.log(8) + math.log(2 * math.pi * math.e * 0.01), abs=0.03)


def test_splits_are_drawn_by_split_seed_and_share_no_point() -> None:
    train, held_out = (gaussians(ModelConfig(seed=5), split) for split in (TRAIN, HELD_OUT))
    assert (len(train), len(held_out), train.data_shape, train.n_classes) == (8000, 2000, (2,), 0)
    assert torch.equal(train.tensors[0], gaussians(ModelConfig(seed=6), TRAIN).tensors[0])
    assert not torch.equal(train.tensors[0], gaussians(ModelConfig(split_seed=1), TRAIN).tensors[0])
    shared = set(map(tuple, train.tensors[0].tolist())) & set(map(tuple, held_out.tensors[0].tolist()))
    assert not shared
    with pytest.raises(ValueError, match="split: got 'test'"):
        gaussians(ModelConfig(), "test")
