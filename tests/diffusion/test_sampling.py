"""The sampler on a distribution whose ODE has a closed solution, and samples that depend on their index alone."""

import math
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion import sampling
from core.diffusion.edm import edm_sigmas
from core.diffusion.model import Denoiser
from core.diffusion.sampling import euler_sampler, generate, heun_sampler, sample_labels, stochastic_sampler
from core.diffusion.trained import load_denoiser

SIGMA_DATA = 0.5
CONFIG = ModelConfig(data_shape=(3,), n_classes=2, sigma_data=SIGMA_DATA, n_steps=18, seed=5)


def gaussian_denoiser(x: Tensor, sigma: float) -> Tensor:
    """Return E[y | x] for y ~ N(0, SIGMA_DATA²) and x = y + sigma n."""
    return x * SIGMA_DATA**2 / (SIGMA_DATA**2 + sigma**2)


def exact_solution(noise: Tensor, sigma_max: float) -> Tensor:
    """Follow dx/dsigma = x sigma / (sigma² + SIGMA_DATA²) from sigma_max to 0: x shrinks like its own spread."""
    return noise * sigma_max * SIGMA_DATA / math.hypot(SIGMA_DATA, sigma_max)


class Gaussian(Denoiser):
    """The analytic denoiser as a model."""

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        return x * (SIGMA_DATA**2 / (SIGMA_DATA**2 + sigma**2))[:, None]


def test_heun_error_falls_with_the_square_of_the_number_of_steps() -> None:
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)
    errors = [
        (heun_sampler(gaussian_denoiser, noise, edm_sigmas(n, 0.002, 80.0)) - exact_solution(noise, 80.0)).abs().max()
        for n in (20, 40, 80)
    ]
    assert errors[2] < 5e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.2)


def test_heun_calls_the_denoiser_twice_a_step_but_once_in_the_last() -> None:
    levels: list[float] = []

    def counting(x: Tensor, sigma: float) -> Tensor:
        levels.append(sigma)
        return torch.zeros_like(x)

    sigmas = edm_sigmas(4, 0.1, 1.0)
    out = heun_sampler(counting, torch.ones(1, dtype=torch.float64), sigmas)
    a, b, c, d, _ = sigmas.tolist()
    assert levels == [a, b, b, c, c, d, d]
    assert out.item() == pytest.approx(0, abs=1e-12)  # towards data at 0 the ODE is a straight line


def test_euler_error_falls_with_the_number_of_steps() -> None:
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)
    errors = [
        (euler_sampler(gaussian_denoiser, noise, edm_sigmas(n, 0.002, 80.0)) - exact_solution(noise, 80.0)).abs().max()
        for n in (100, 200, 400)
    ]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


def test_stochastic_sampling_keeps_the_distribution_and_forgets_where_it_began() -> None:
    sigmas, n = edm_sigmas(200, 0.002, 80.0), 20_000
    generator = torch.Generator().manual_seed(0)
    drawn: list[Tensor] = []

    def draw() -> Tensor:
        drawn.append(torch.randn(n, generator=generator, dtype=torch.float64))
        return drawn[-1]

    samples = stochastic_sampler(gaussian_denoiser, draw, sigmas, s_noise=1.0)
    assert samples.std().item() == pytest.approx(SIGMA_DATA, abs=4 * SIGMA_DATA / math.sqrt(2 * n) + 2e-3)
    start = torch.stack([drawn[0], samples])
    assert abs(torch.corrcoef(start)[0, 1].item()) < 0.5
    assert len(drawn) == 201


def test_stochastic_sampling_without_churn_is_heuns() -> None:
    noise, sigmas = torch.linspace(-2, 2, 9, dtype=torch.float64), edm_sigmas(10, 0.002, 80.0)
    unchurned = stochastic_sampler(gaussian_denoiser, lambda: noise, sigmas, s_churn=0.0)
    assert torch.equal(unchurned, heun_sampler(gaussian_denoiser, noise, sigmas))


def test_noise_is_added_between_its_bounds_only() -> None:
    levels: list[float] = []

    def recording(x: Tensor, sigma: float) -> Tensor:
        levels.append(sigma)
        return x

    sigmas = np.array([8.0, 4.0, 2.0, 0.0])
    stochastic_sampler(recording, lambda: torch.zeros(1), sigmas, s_churn=0.3, s_min=3.0, s_max=5.0)
    assert levels == pytest.approx([8.0, 4.0, 4.0 * 1.1, 2.0, 2.0])  # gamma = 0.3 / 3 at sigma = 4 alone


@pytest.mark.parametrize("sampler", ["heun", "euler", "stochastic"])
def test_samples_do_not_depend_on_how_they_are_batched(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = attrs.evolve(CONFIG, sampler=sampler)

    def draw(n_samples: int, batch: int) -> Tensor:
        monkeypatch.setattr(sampling, "SAMPLES_PER_BATCH", batch)
        return torch.cat(
            [samples.images for samples in generate(Gaussian(config), config, n_samples, torch.device("cpu"))]
        )

    all_at_once = draw(11, 100)
    assert all_at_once.shape == (11, 3)
    assert torch.equal(draw(11, 1), all_at_once)
    assert torch.equal(draw(7, 4), all_at_once[:7])


def test_samples_of_a_network_depend_on_the_batch_in_their_last_bits_only(
    trained_run: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, cpu = attrs.evolve(trained_config, n_steps=18), torch.device("cpu")
    model, found = load_denoiser(trained_run, config, cpu), []
    for batch in (7, 60):
        monkeypatch.setattr(sampling, "SAMPLES_PER_BATCH", batch)
        found.append(torch.cat([samples.images for samples in generate(model, config, 60, cpu)]))
    assert (found[0] - found[1]).abs().max() < 1e-5


def test_samples_have_the_distribution_that_the_denoiser_knows() -> None:
    config = attrs.evolve(CONFIG, n_steps=80)
    batches = list(generate(Gaussian(config), config, 2000, torch.device("cpu")))
    values = torch.cat([batch.images for batch in batches]).numpy()
    assert values.std() == pytest.approx(SIGMA_DATA, abs=4 * SIGMA_DATA / np.sqrt(2 * values.size))
    assert [index for batch in batches for index in batch.indices] == list(range(2000))


def test_labels_come_in_turn_and_are_absent_without_classes() -> None:
    labels = sample_labels(range(3, 8), n_classes=3)
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 0, 1]
    assert sample_labels(range(5), n_classes=0) is None
