"""Rectified flow: velocity, loss and times against closed forms on Gaussian data, and a run trained with it."""

import itertools
import math
from pathlib import Path

import attrs
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.edm import edm_scalings
from core.diffusion.eval import Evaluator
from core.diffusion.flow import draw_flow_sigmas, flow_scalings, flow_times
from core.diffusion.likelihood import exact_trace, log_density
from core.diffusion.model import Denoiser
from core.diffusion.models.configs import MLPConfig
from core.diffusion.sampling import bind, sample
from core.diffusion.schedules import FLOW
from core.diffusion.train import train_diffusion_model

SPREAD = 0.5  # of the data: y ~ N(0, SPREAD²)
CONFIG = ModelConfig(data_shape=(1,), n_classes=0, sigma_data=SPREAD, family="flow")


def best_velocity(z: Tensor, t: Tensor) -> Tensor:
    """Return E[n - y | z] for z = (1 - t) y + t n: the covariance of n - y and z, over the variance of z, times z."""
    return (t - (1 - t) * SPREAD**2) / ((1 - t) ** 2 * SPREAD**2 + t**2) * z


class BestFlow(Denoiser):
    """The network that knows the best velocity; it is told ln(sigma) / 4, from which t follows."""

    def network(self, scaled: Tensor, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        return best_velocity(scaled, (4 * c_noise).sigmoid()[:, None])


class BestEDM(Denoiser):
    """The best denoiser of the same data, E[y | y + sigma n], as a model that knows nothing of flow."""

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        return x * (SPREAD**2 / (SPREAD**2 + sigma**2))[:, None]


def test_the_best_velocity_is_that_of_a_regression_on_draws() -> None:
    rng = np.random.default_rng(0)
    y, n = SPREAD * rng.standard_normal(400_000), rng.standard_normal(400_000)
    for t in (0.1, 0.5, 0.9):
        z = (1 - t) * y + t * n
        slope = scipy.stats.linregress(z, n - y).slope
        assert best_velocity(torch.ones(()), torch.tensor(t)).item() == pytest.approx(slope, abs=0.01)


def test_a_network_of_velocities_is_a_denoiser_and_the_other_way_round() -> None:
    flow, edm = BestFlow(CONFIG), BestEDM(CONFIG)
    x = torch.linspace(-3, 3, 7)[:, None]
    for sigma in (0.01, 0.5, 3.0, 80.0):
        denoised = flow(x * math.hypot(sigma, SPREAD), torch.tensor(sigma))
        assert torch.allclose(denoised, edm(x * math.hypot(sigma, SPREAD), torch.full((7,), sigma)), atol=2e-5)
        # The slope of the sampler, (z - D) / t, is the velocity, whichever of the two the denoiser is.
        t, z = sigma / (1 + sigma), x.double()
        slope = (z - FLOW.along(bind(edm, None))(z, t)) / t
        assert torch.allclose(slope, best_velocity(z, torch.tensor(t)), atol=2e-5)


def test_the_loss_is_the_squared_error_of_the_velocity() -> None:
    class Twice(Denoiser):
        def network(self, scaled: Tensor, c_noise: Tensor, labels: Tensor | None) -> Tensor:
            return 2 * scaled

    torch.manual_seed(0)
    y, n, t = torch.randn(6, 3), torch.randn(6, 3), torch.tensor([1e-3, 0.01, 0.3, 0.7, 0.99, 0.999])
    z = (1 - t[:, None]) * y + t[:, None] * n
    expected = (2 * z - (n - y)).square().mean(1)
    losses = Twice(attrs.evolve(CONFIG, data_shape=(3,))).loss(y, n, t / (1 - t))
    assert losses.tolist() == pytest.approx(expected.tolist(), rel=1e-3)


def test_the_loss_of_the_best_velocity_is_what_no_network_can_know() -> None:
    """Var(n - y | z) = SPREAD² / ((1 - t)² SPREAD² + t²) for Gaussian data."""
    generator, n = torch.Generator().manual_seed(0), 100_000
    y = SPREAD * torch.randn(n, 1, generator=generator)
    noise = torch.randn(n, 1, generator=generator)
    for t in (0.05, 0.5, 0.95):
        losses = BestFlow(CONFIG).loss(y, noise, torch.full((n,), t / (1 - t)))
        least = SPREAD**2 / ((1 - t) ** 2 * SPREAD**2 + t**2)
        assert losses.mean().item() == pytest.approx(least, abs=5 * losses.std().item() / math.sqrt(n))


def test_times_of_training_are_uniform_or_logit_normal() -> None:
    torch.manual_seed(0)
    sigmas = draw_flow_sigmas(20_000, "uniform", 0.0, 1.0).double()
    assert scipy.stats.kstest((sigmas / (1 + sigmas)).numpy(), "uniform").pvalue > 0.001
    logits = draw_flow_sigmas(20_000, "logit_normal", -0.5, 0.8).double().log()  # ln(sigma) is the logit of t
    assert scipy.stats.kstest(logits.numpy(), scipy.stats.norm(-0.5, 0.8).cdf).pvalue > 0.001


@pytest.mark.parametrize("distribution", ["uniform", "logit_normal"])
def test_no_drawn_time_gives_a_level_of_0_or_infinity(distribution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda n, device: torch.tensor([0.0, 1 - 2**-24]))
    monkeypatch.setattr(torch, "randn", lambda n, device: torch.tensor([-200.0, 200.0]))
    assert draw_flow_sigmas(2, distribution, 0.0, 1.0).tolist() == pytest.approx([1e-4, 1e4], rel=1e-3)


@pytest.mark.parametrize(("n_steps", "sigma_max"), [(0, 80.0), (5, 0.0)])
def test_times_that_make_no_sense_are_refused(n_steps: int, sigma_max: float) -> None:
    assert flow_times(4, 3.0) == pytest.approx([0.75, 0.5625, 0.375, 0.1875, 0])
    assert flow_times(1, 3.0) == pytest.approx([0.75, 0])
    with pytest.raises(ValueError, match=r"n_steps must be at least 1|sigma_max must be positive"):
        flow_times(n_steps, sigma_max)


@pytest.mark.parametrize("model_class", [BestFlow, BestEDM])
@pytest.mark.parametrize("schedule", ["edm", "flow"])
@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2)])
def test_every_denoiser_reaches_the_same_samples_along_every_schedule(
    model_class: type[Denoiser], schedule: str, sampler: str, order: int
) -> None:
    """The exact solution shrinks like its own spread, from 80 to 0: the ODE's error falls with the sampler's order."""
    config = attrs.evolve(CONFIG, schedule=schedule, sampler=sampler)
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    exact, denoise = noise * 80 * SPREAD / math.hypot(80, SPREAD), bind(model_class(config), None)
    steps = (100, 200, 400) if order == 1 else (20, 40, 80)
    found = [sample(denoise, lambda: noise, attrs.evolve(config, n_steps=n)) for n in steps]
    errors = [(samples - exact).abs().max().item() for samples in found]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.35)
    assert errors[-1] < 0.01


def test_the_likelihood_of_a_flow_is_the_gaussian_density() -> None:
    x = torch.linspace(-1.5, 1.5, 9, dtype=torch.float64)[:, None]
    nats, _ = log_density(bind(BestFlow(CONFIG), None), x, exact_trace, sigma_min=0.01, sigma_max=80.0, n_steps=60)
    exact = scipy.stats.norm(scale=math.hypot(SPREAD, 0.01)).logpdf(x[:, 0].numpy())
    assert nats[0].numpy() == pytest.approx(exact, abs=2e-3)


def test_the_stochastic_sampler_needs_edms_schedule() -> None:
    with pytest.raises(ConfigError, match="sampler: got 'stochastic', which needs schedule 'edm'"):
        ModelConfig(family="flow", sampler="stochastic")
    assert ModelConfig(family="flow", sampler="stochastic", schedule="edm").schedule == "edm"
    with pytest.raises(ConfigError, match="needs schedule 'edm'"):
        attrs.evolve(ModelConfig(sampler="stochastic"), schedule="flow")


def test_a_run_is_trained_sampled_and_evaluated(tiny: MLPConfig, tmp_path: Path) -> None:
    config = attrs.evolve(tiny, family="flow", n_epochs=30, learning_rate=5e-3, class_conditional=False, dropout=0.0)
    config = attrs.evolve(config, checkpoint_every_epochs=30, ema_half_life_images=2000)
    model = train_diffusion_model(config, tmp_path, device="cpu")
    names = ["denoising", "frechet", "likelihood"]
    results = Evaluator(model.config, tmp_path, evaluators=names, device="cpu").evaluate()  # type: ignore[arg-type] # nn.Module's attributes are any
    found = {record.metadata.name: record for record in results}
    of_sampler = dict(found["frechet_distance"].metadata.protocol)
    assert (of_sampler["sampler"], of_sampler["schedule"], of_sampler["sigma_max"]) == ("heun", "flow", 80.0)
    assert not {"rho", "sigma_min"} & set(of_sampler), "what the path of flow does not use makes nothing incomparable"
    # Untrained, D = (1 - t) x, and the loss at sigma 0.5 is lambda t² (1 + sigma_data²) = 5.4 · (1/3)² · 1.72 = 1.03.
    assert found["denoising_loss/sigma_0.5"].result.mean < 0.8
    assert 0 < found["bits_per_dim"].result.mean < math.inf


def test_the_network_gets_a_quarter_of_ln_sigma_in_both_families_which_is_the_logit_of_t() -> None:
    t = torch.tensor([0.01, 0.3, 0.5, 0.99], dtype=torch.float64)
    sigma = t / (1 - t)
    expected = [math.log(0.01 / 0.99) / 4, math.log(0.3 / 0.7) / 4, 0.0, math.log(99) / 4]
    for scalings in (flow_scalings(sigma), edm_scalings(sigma, SPREAD)):
        assert scalings.c_noise.tolist() == pytest.approx(expected)


def test_the_sampler_takes_evenly_spaced_times() -> None:
    assert flow_times(4, 80.0) == pytest.approx([0.98765432, 0.74074074, 0.49382716, 0.24691358, 0.0])
