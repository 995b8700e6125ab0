"""EDM's formulas, and the base that every trained model shares."""

import math

import attrs
import numpy as np
import pytest
import torch

from core.config.config import ModelConfig
from core.diffusion.data_fields import completed_from_data
from core.diffusion.datasets.base import TRAIN, Batches, load_data
from core.diffusion.edm import draw_sigmas, edm_scalings, edm_sigmas, loss_weight
from core.diffusion.model import Denoiser, Identity, denoising_losses
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP

CONFIG = MLPConfig(model="mlp", hidden_layer_sizes=(16, 16, 24), data_shape=(1, 4, 4), n_classes=3, sigma_data=0.5)


def test_identity_returns_its_input_and_takes_the_config() -> None:
    x = torch.randn(2, 3)
    assert Identity(ModelConfig())(x) is x


def test_scalings_are_those_of_table_1() -> None:
    # sigma = 0.5 = sigma_data: c_skip = 1/2, c_out = 0.25 / sqrt(0.5), c_in = 1 / sqrt(0.5), c_noise = ln(0.5) / 4
    scalings = edm_scalings(torch.tensor([0.5]), sigma_data=0.5)
    assert scalings.c_skip.item() == pytest.approx(0.5)
    assert scalings.c_out.item() == pytest.approx(0.25 / math.sqrt(0.5))
    assert scalings.c_in.item() == pytest.approx(1 / math.sqrt(0.5))
    assert scalings.c_noise.item() == pytest.approx(math.log(0.5) / 4)
    # sigma = 3, sigma_data = 4: a 3-4-5 triangle
    scalings = edm_scalings(torch.tensor([3.0]), sigma_data=4.0)
    assert [factor.item() for factor in scalings[:3]] == pytest.approx([16 / 25, 12 / 5, 1 / 5])
    assert loss_weight(torch.tensor([3.0]), sigma_data=4.0).item() == pytest.approx(25 / 144)


def test_input_and_target_of_the_network_have_unit_variance_at_every_level() -> None:
    torch.manual_seed(0)
    clean, noise = 0.5 * torch.randn(200_000), torch.randn(200_000)
    for level in (0.01, 0.3, 7.0):
        c_skip, c_out, c_in, _ = edm_scalings(torch.tensor(level), sigma_data=0.5)
        noisy = clean + level * noise
        assert (c_in * noisy).std().item() == pytest.approx(1, rel=0.01)
        assert ((clean - c_skip * noisy) / c_out).std().item() == pytest.approx(1, rel=0.01)


def test_sigmas_of_training_are_log_normal() -> None:
    torch.manual_seed(0)
    logs = draw_sigmas(100_000, p_mean=-1.2, p_std=1.2).log()
    assert logs.mean().item() == pytest.approx(-1.2, abs=4 * 1.2 / math.sqrt(100_000))
    assert logs.std().item() == pytest.approx(1.2, rel=0.01)


def test_sampler_sigmas_follow_equation_5() -> None:
    sigmas = edm_sigmas(3, sigma_min=0.002, sigma_max=80.0, rho=7.0)
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert sigmas == pytest.approx([80.0, middle, 0.002, 0.0])
    assert sigmas[-1] == 0.0
    assert np.all(np.diff(edm_sigmas(18, 0.002, 80.0)) < 0)


@pytest.mark.parametrize(("n_steps", "low", "high"), [(1, 0.1, 1.0), (5, 0.0, 1.0), (5, 2.0, 1.0), (5, 1.0, 1.0)])
def test_sigmas_that_make_no_sense_are_refused(n_steps: int, low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"n_steps must be at least 2|need 0 < sigma_min < sigma_max"):
        edm_sigmas(n_steps, low, high)


def test_untrained_mlp_is_its_preconditioning_and_its_loss_about_1() -> None:
    torch.manual_seed(0)
    model = MLP(CONFIG)
    images, noise = 0.5 * torch.randn(4000, 1, 4, 4), torch.randn(4000, 1, 4, 4)
    labels, sigma = torch.zeros(4000, dtype=torch.int64), torch.full((4000,), 0.3)
    c_skip = 0.25 / (0.09 + 0.25)
    noisy = images + 0.3 * noise
    assert torch.allclose(model(noisy, sigma, labels), c_skip * noisy)
    losses = denoising_losses(model, images, noise, sigma, 0.5, labels)
    assert losses.shape == (4000,)
    assert losses.mean().item() == pytest.approx(1, abs=4 * losses.std().item() / math.sqrt(4000))


def test_loss_is_the_weighted_mean_square_of_what_the_denoiser_misses() -> None:
    images, noise, sigma = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2), torch.tensor([1.0, 2.0])
    losses = denoising_losses(lambda x, sigma, labels: x, images, noise, sigma, sigma_data=1.0)  # type: ignore[arg-type]
    assert losses.tolist() == pytest.approx([2 / 1 * 1, 5 / 4 * 4])


def test_one_noise_level_serves_a_whole_batch() -> None:
    x = torch.randn(5, 2)
    model = MLP(attrs.evolve(CONFIG, data_shape=(2,), n_classes=0))
    one, each = model(x, torch.tensor(0.7)), model(x, torch.full((5,), 0.7))
    assert torch.equal(one, each)


def test_mlp_output_depends_on_noise_level_and_class_and_on_its_own_image_alone() -> None:
    torch.manual_seed(0)
    model = MLP(CONFIG).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(3, 1, 4, 4)
    labels, c_noise = torch.tensor([0, 1, 2]), torch.zeros(3)
    out = model.network(x, c_noise, labels)
    assert out.shape == x.shape
    assert not torch.allclose(out, model.network(x, c_noise + 0.1, labels))
    assert not torch.allclose(out, model.network(x, c_noise, labels.flip(0)))
    changed = x.clone()
    changed[0] += 1
    assert torch.allclose(out[1:], model.network(changed, c_noise, labels)[1:], atol=1e-5)


def test_conditional_mlp_without_labels_is_refused_and_an_unconditional_one_needs_none() -> None:
    x, sigma = torch.randn(2, 1, 4, 4), torch.ones(2)
    with pytest.raises(ValueError, match="class-conditional and needs labels"):
        MLP(CONFIG)(x, sigma)
    unconditional = MLP(attrs.evolve(CONFIG, class_conditional=False))
    assert unconditional(x, sigma).shape == x.shape


def test_a_denoiser_before_the_data_are_known_is_refused() -> None:
    with pytest.raises(ValueError, match="data_shape, n_classes and sigma_data"):
        MLP(MLPConfig(model="mlp"))


def test_a_denoiser_without_a_network_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match=r"Denoiser must define network\(scaled, c_noise, labels\)"):
        Denoiser(CONFIG)


@pytest.mark.parametrize(("sigma_data_from", "is_one"), [("rms", True), ("std", False)])
def test_the_loss_of_an_untrained_network_is_1_at_every_level_by_the_root_mean_square(
    sigma_data_from: str, is_one: bool
) -> None:
    """Digits have mean -0.39: with the standard deviation, the loss at large levels is the squares' ratio, 1.27."""
    data = load_data(ModelConfig(), TRAIN)
    config, _ = completed_from_data(MLPConfig(sigma_data_from=sigma_data_from, hidden_layer_sizes=(4,)), data)
    model = MLP(config)
    images, labels = Batches(data, torch.device("cpu")).take(torch.arange(len(data)))
    torch.manual_seed(0)
    for level in (0.01, 0.1, 1.0, 10.0, 80.0):
        sigma = torch.full((len(images),), level)
        losses = denoising_losses(model, images, torch.randn_like(images), sigma, model.sigma_data, labels)
        loss, error = losses.mean().item(), losses.std().item() / math.sqrt(len(losses))
        assert (abs(loss - 1) < 4 * error + 0.01) == (is_one or level < 0.2), (level, loss)
    ratio = float(images.square().mean() / images.var())
    assert ratio == pytest.approx(1.27, abs=0.005)
    assert loss == pytest.approx(1 if is_one else ratio, abs=4 * error + 0.01)  # at the largest level
