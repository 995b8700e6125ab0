"""Likelihoods against closed forms, and their estimators against exact ones."""

import math
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.datasets.base import InMemory
from core.diffusion.datasets.gaussians import Mixture, eight_gaussians, gaussians
from core.diffusion.eval import Evaluator
from core.diffusion.evaluators import likelihood
from core.diffusion.evaluators.denoising import DenoisingEvaluator
from core.diffusion.evaluators.likelihood import LikelihoodEvaluator
from core.diffusion.likelihood import exact_trace, hutchinson_trace, log_density, log_share_of_level, normal_log_density
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model


def test_the_mixtures_own_denoiser_gives_its_closed_form_density() -> None:
    mixture = eight_gaussians()
    x = gaussians(ModelConfig(), "held_out").tensors[0][:400].double()
    found, _ = log_density(lambda x, sigma: mixture.denoise(x, torch.tensor(sigma)), x, exact_trace, 0.002, 80.0, 64)
    difference = (found[0] - mixture.log_density(x)).numpy()
    assert abs(difference.mean()) < 1e-4
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
    config = MLPConfig(model="mlp", dataset="gaussians", hidden_layer_sizes=(64, 64), n_epochs=10, batch_size=500)
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
    monkeypatch.setattr(LikelihoodEvaluator, "n_images", 6)
    monkeypatch.setattr(LikelihoodEvaluator, "n_ode_steps", 6)
    monkeypatch.setattr(likelihood, "ROUGH_STEPS", 2)
    marginal, estimated, trace_error = LikelihoodEvaluator(trained_config, trained_run).evaluate()
    _, exact = LikelihoodEvaluator(attrs.evolve(trained_config, exact_trace_up_to=64), trained_run).evaluate()
    names = ["bits_per_dim", "bits_per_dim/given_label", "bits_per_dim/given_label/trace_error"]
    assert [record.metadata.name for record in (marginal, estimated, trace_error)] == names
    assert (marginal.metadata.role, estimated.metadata.role, trace_error.metadata.role) == (
        "primary",
        "primary",
        "part",
    )
    assert dict(estimated.metadata.protocol)["dequantisation"] == "gaussian of sigma 0.03125, 17 levels"
    assert not estimated.metadata.is_comparable_with(exact.metadata)
    assert trace_error.result.mean > 0
    # log p(x) is at least log p(x | y) - log(10), and all ten labels together cannot add more than the best one.
    assert exact.result.mean - 0.01 < marginal.result.mean < estimated.result.mean + math.log2(10) / 64 + 1e-9
    assert estimated.result.mean == pytest.approx(exact.result.mean, abs=4 * trace_error.result.mean / math.sqrt(6))
    assert 2 < exact.result.mean < 10


class ComponentDenoiser(torch.nn.Module):
    """The best denoiser of a mixture whose labels are its components: it knows from which one a point came."""

    n_classes = 8
    class_conditional = True

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.mixture = mixture

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        means, variances = self.mixture.means[labels], self.mixture.stds[labels, None] ** 2
        kept = variances / (variances + sigma.double()[:, None] ** 2)
        return (means + kept * (x.double() - means)).to(x.dtype)


def test_both_densities_of_a_conditional_model_are_reported_under_names_that_say_which(
    trained_config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy import stats

    mixture = Mixture(eight_gaussians().means, torch.full((8,), 0.3))  # wide enough that the label is in doubt
    random = np.random.RandomState(0)
    labels = random.randint(8, size=120)
    points = mixture.means.numpy()[labels] + 0.3 * random.standard_normal((120, 2))
    data = InMemory(torch.from_numpy(points).float(), torch.from_numpy(labels).long(), n_classes=8)
    monkeypatch.setattr(LikelihoodEvaluator, "data", lambda _self, _split: data)
    monkeypatch.setattr(LikelihoodEvaluator, "denoiser", lambda _self: ComponentDenoiser(mixture))
    config = attrs.evolve(trained_config, data_shape=(2,), n_classes=8, sigma_min=0.05)
    results = {record.metadata.name: record for record in LikelihoodEvaluator(config, tmp_path).evaluate()}
    deviation = math.hypot(0.3, 0.05)  # the density is that at noise level sigma_min
    x = data.tensors[0].numpy()
    given_label = stats.norm(mixture.means.numpy()[labels], deviation).logpdf(x).sum(axis=1)
    every = stats.norm(mixture.means.numpy(), deviation).logpdf(x[:, None]).sum(axis=2)  # (120, 8)
    marginal = np.log(np.exp(every).mean(axis=1))
    to_bits = -1 / (2 * math.log(2))
    assert set(results) == {"bits_per_dim", "bits_per_dim/given_label"}
    found = results["bits_per_dim/given_label"]
    assert found.result.mean == pytest.approx(given_label.mean() * to_bits, abs=2e-3)
    assert dict(found.metadata.protocol)["conditional"] == "label"
    found = results["bits_per_dim"]
    assert found.result.mean == pytest.approx(marginal.mean() * to_bits, abs=2e-3)
    assert found.result.error == pytest.approx(marginal.std(ddof=1) * -to_bits / math.sqrt(120), rel=0.01)
    assert (dict(found.metadata.protocol)["conditional"], dict(found.metadata.protocol)["sigma_min"]) == ("none", 0.05)
    assert abs(marginal.mean() - given_label.mean()) > 0.5, "the label is worth something here"
    monkeypatch.setattr(likelihood, "MARGIN_NATS", math.inf)
    every_label = LikelihoodEvaluator(config, tmp_path).evaluate().filter(name="bits_per_dim")[0].result
    assert found.result.mean == pytest.approx(every_label.mean, abs=1e-6), "labels far behind make no difference"


def test_a_model_without_labels_has_only_the_density_that_a_conditional_one_can_be_compared_in(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LikelihoodEvaluator, "n_images", 4)
    monkeypatch.setattr(LikelihoodEvaluator, "n_ode_steps", 4)
    config = attrs.evolve(trained_config, class_conditional=False, n_epochs=1)
    train_diffusion_model(config, tmp_path, device="cpu")
    without, trace_error = LikelihoodEvaluator(config, tmp_path).evaluate()
    conditional, given_label, _ = LikelihoodEvaluator(trained_config, trained_run).evaluate()
    assert trace_error.metadata.name == "bits_per_dim/trace_error"
    assert without.metadata.is_comparable_with(conditional.metadata)
    assert not without.metadata.is_comparable_with(given_label.metadata)
    loss, *_ = DenoisingEvaluator(config, tmp_path).evaluate()
    other, *_ = DenoisingEvaluator(trained_config, trained_run).evaluate()
    assert [dict(record.metadata.protocol)["conditional"] for record in (loss, other)] == ["none", "label"]


def test_the_trace_error_is_the_root_mean_square_of_the_images_errors() -> None:
    """Errors from 4 normal values each: their mean is 8% below the true error of 0.5, their root mean square is not."""
    values = torch.randn(20_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    errors = values.std(1) / 2
    result = likelihood._root_mean_square(errors)
    assert errors.mean().item() == pytest.approx(0.5 * 0.921, abs=0.003)
    assert result.mean == pytest.approx(0.5, abs=4 * result.error)
    assert 0 < result.error < 0.003
