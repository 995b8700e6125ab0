"""Likelihoods against closed forms, and their estimators against exact ones."""

import math
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.datasets.gaussians import MixtureDenoiser, eight_gaussians, gaussians
from core.diffusion.eval import Evaluator
from core.diffusion.evaluators.likelihood import LikelihoodEvaluator
from core.diffusion.likelihood import exact_trace, hutchinson_trace, log_density, log_share_of_level, normal_log_density
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model


def test_the_mixtures_own_denoiser_gives_its_closed_form_density() -> None:
    mixture = eight_gaussians()
    x = gaussians(ModelConfig(), "held_out").tensors[0][:400].double()
    denoise = MixtureDenoiser(mixture)
    found, _ = log_density(lambda x, sigma: denoise(x, torch.tensor(sigma)), x, exact_trace, 0.002, 80.0, 64)
    difference = (found[0] - mixture.log_density(x)).numpy()
    assert abs(difference.mean()) < 1e-3
    assert np.abs(difference).max() < 0.02


def test_traces_of_a_linear_map_are_the_matrix_own() -> None:
    matrix = torch.tensor([[1.0, 2.0, 0.5], [-1.0, 3.0, 0.0], [4.0, 1.0, -2.0]], dtype=torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert exact_trace(x @ matrix.T, x)[0].tolist() == pytest.approx([2.0] * 5)
    signs = torch.randn(4000, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).sign()
    estimates = hutchinson_trace(signs)(x @ matrix.T, x)
    assert estimates.shape == (4000, 5)
    assert estimates.mean().item() == pytest.approx(2.0, abs=4 * estimates.std().item() / math.sqrt(20_000))


def test_a_levels_share_is_its_part_of_all_levels_densities() -> None:
    levels = np.linspace(-1, 1, 17)
    noisy, clean, sigma = np.array([-0.98, 0.03, 0.99, 0.25]), np.array([-1.0, 0.0, 1.0, 0.125]), 0.05
    weights = np.exp(-((noisy[:, None] - levels) ** 2) / (2 * sigma**2))
    expected = np.log(weights[np.arange(4), [0, 8, 16, 9]] / weights.sum(axis=1))
    found = log_share_of_level(torch.from_numpy(noisy)[:, None], torch.from_numpy(clean)[:, None], sigma, 17)
    assert found.numpy() == pytest.approx(expected, rel=1e-9)


def test_normal_density_is_scipys() -> None:
    from scipy import stats

    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    expected = stats.norm(scale=0.7).logpdf(x).sum(axis=(1, 2))
    assert normal_log_density(torch.from_numpy(x), 0.7).numpy() == pytest.approx(expected)


def test_bits_of_a_uniform_choice_between_two_images_are_those_of_a_coin() -> None:
    """A model that knows that every value is -1 or 1 with equal chance needs one bit a value."""
    sigma = 2 / 4  # two levels, 2 apart

    def denoise(x: Tensor, level: float) -> Tensor:
        return torch.tanh(x / level**2)  # E[y | x] of a fair sign

    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(2000, 1, generator=generator, dtype=torch.float64).sign()
    noise = sigma * torch.randn(2000, 1, generator=generator, dtype=torch.float64)
    nats, _ = log_density(denoise, clean + noise, exact_trace, sigma, 80.0, 64)
    bound = nats[0] + log_share_of_level(clean + noise, clean, sigma, 2) - normal_log_density(noise, sigma)
    bits = -bound / math.log(2)
    assert bits.mean().item() == pytest.approx(1.0, abs=4 * bits.std().item() / math.sqrt(2000) + 1e-3)


def test_a_trained_mixture_models_gap_to_the_truth_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = MLPConfig(model="mlp", dataset="gaussians", hidden_layer_sizes=(64, 64), n_epochs=30, batch_size=500)
    train_diffusion_model(config, tmp_path, device="cpu")
    monkeypatch.setattr(LikelihoodEvaluator, "n_images", 200)
    results = {
        record.metadata.name: record
        for record in Evaluator(config, tmp_path, evaluators=["likelihood"], device="cpu").evaluate()
    }
    gap, bits = results["likelihood_gap"].result, results["bits_per_dim"].result
    assert (bits.n, gap.n) == (200, 200)
    assert gap.mean > -4 * gap.error  # no density is closer to the truth than the truth
    assert gap.mean < 1.0
    held_out = gaussians(config, "held_out").tensors[0][torch.arange(200) * 10]
    truth = -eight_gaussians().log_density(held_out).mean().item() / (2 * math.log(2))
    assert bits.mean == pytest.approx(truth + gap.mean / (2 * math.log(2)), rel=1e-9)
    assert dict(results["bits_per_dim"].metadata.protocol)["trace"] == "exact"
    assert (tmp_path / "values/eval-0001/likelihood.npz").exists()


def test_bits_of_digits_by_probes_agree_with_the_exact_trace(
    trained_run: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LikelihoodEvaluator, "n_images", 30)
    monkeypatch.setattr(LikelihoodEvaluator, "n_ode_steps", 12)
    estimated, trace_error = LikelihoodEvaluator(trained_config, trained_run).evaluate()
    (exact,) = LikelihoodEvaluator(attrs.evolve(trained_config, exact_trace_up_to=64), trained_run).evaluate()
    assert dict(estimated.metadata.protocol)["dequantisation"] == "gaussian of sigma 0.03125, 17 levels"
    assert not estimated.metadata.is_comparable_with(exact.metadata)
    assert trace_error.result.mean > 0
    assert estimated.result.mean == pytest.approx(exact.result.mean, abs=4 * trace_error.result.mean / math.sqrt(30))
    assert 2 < exact.result.mean < 10
