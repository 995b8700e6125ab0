"""The loss is the model's: what EDM's default is to the bit, its weights, and losses of a model's own."""

import math

import attrs
import pytest
import torch
from torch import Tensor, nn

from core.config.config import ModelConfig
from core.diffusion.data_fields import completed_from_data
from core.diffusion.datasets.base import TRAIN, Batches, load_data
from core.diffusion.model import Denoiser, min_snr_weight
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.training.epoch import train_epoch, train_step
from core.diffusion.training.state import TrainingState

CPU = torch.device("cpu")


def training_of(model_class: type[Denoiser], config: ModelConfig) -> tuple[TrainingState, Batches]:
    data = load_data(config, TRAIN)
    config, _ = completed_from_data(config, data)
    torch.manual_seed(0)
    return TrainingState(config, model_class(config), CPU, len(data)), Batches(data, CPU)


def test_the_default_trains_as_edm_written_out_to_the_bit(tiny: MLPConfig) -> None:
    """Two epochs of table 1 of the EDM paper, with Adam, warm-up and clipping, written with torch alone."""
    tiny = attrs.evolve(tiny, dropout=0.0)
    state, batches = training_of(MLP, tiny)
    twin, parameters, losses_by_hand = (other := training_of(MLP, tiny)[0]).model, other.parameters, []
    adam = torch.optim.Adam(parameters, lr=tiny.learning_rate, fused=True)
    scale, step = twin.sigma_data, 0

    torch.manual_seed(1)
    losses = []
    for _ in range(2):
        train_epoch(state, batches, lambda: None)
        losses.append(state.measures.meter.mean("loss"))

    torch.manual_seed(1)
    for _ in range(2):
        found = []
        for indices in torch.randperm(state.n_images).split(tiny.batch_size):
            step += 1
            images, labels = batches.take(indices)
            sigma = (torch.randn(len(images)) * 1.2 - 1.2).exp()
            wide = sigma[:, None, None, None]
            denoised = twin(images + wide * torch.randn_like(images), sigma, labels)
            weight = (sigma**2 + scale**2) / (sigma * scale) ** 2
            loss = weight * (denoised - images).square().flatten(1).mean(1)
            adam.zero_grad()
            loss.mean().backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in adam.param_groups:
                group["lr"] = tiny.learning_rate * min(1.0, step / tiny.warmup_steps)
            adam.step()
            found += loss.tolist()
        losses_by_hand.append(math.fsum(found) / len(found))
    assert losses == losses_by_hand
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(state.parameters, parameters, strict=True))


@pytest.mark.parametrize(("accumulate", "n_images"), [(3, 500), (7, 438), (7, 5)])
def test_gradients_of_parts_add_up_to_that_of_the_batch(tiny: MLPConfig, accumulate: int, n_images: int) -> None:
    """No part divides these batches evenly, and of 5 images some of 7 parts get none."""
    runs = []
    for n_parts in (1, accumulate):
        state, batches = training_of(MLP, attrs.evolve(tiny, dropout=0.0, accumulate=n_parts, label_dropout=0.2))
        torch.manual_seed(1)
        for _ in range(2):
            train_step(state, batches, torch.arange(n_images))
        state.measures.fold()
        runs.append(state)
    parts, whole = runs
    for ours, theirs in zip(parts.parameters, whole.parameters, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    for name in ("loss", "grad_norm"):
        assert parts.measures.meter.mean(name) == pytest.approx(whole.measures.meter.mean(name), rel=1e-5)
        assert parts.measures.meter.count(name) == whole.measures.meter.count(name)


def test_min_snr_weight_is_the_smaller_of_the_ratio_and_gamma() -> None:
    weights = min_snr_weight(torch.tensor([0.1, 0.5, 2.0, 80.0]), gamma=5.0)
    assert weights.tolist() == pytest.approx([5, 4, 1 / 4, 1 / 6400])  # 1/0.1² = 100 is cut to 5


def test_weighting_min_snr_weights_the_squared_error(tiny: MLPConfig) -> None:
    config = attrs.evolve(tiny, weighting="min_snr", min_snr_gamma=3.0, data_shape=(2,), n_classes=0, sigma_data=1.0)
    model = MLP(config)  # untrained: its network returns 0, so that D = c_skip x
    images, sigma = torch.ones(2, 2), torch.tensor([0.5, 2.0])
    # Without noise the error is (c_skip - 1)² with c_skip = 1 / (sigma² + 1): 0.2² and 0.8²; weights min(4, 3) and 1/4.
    losses = model.loss(images, torch.zeros(2, 2), sigma)
    assert losses.tolist() == pytest.approx([3 * 0.04, 0.25 * 0.64])


class Uncertain(Denoiser):
    """A network that returns 0, and a learned log of its loss: Kendall et al. 2018, arXiv:1705.07115, as in EDM2."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.log_loss = nn.Parameter(torch.tensor(2.0))

    def network(self, scaled: Tensor, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        return torch.zeros_like(scaled)

    def loss(self, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().loss(images, noise, sigma, labels) / self.log_loss.exp() + self.log_loss


def test_a_model_with_a_loss_of_its_own_is_trained_on_it(tiny: MLPConfig) -> None:
    """loss / e^u + u is least at u = ln loss; the loss of a network that returns 0 is 1, so u goes from 2 to 0."""
    state, batches = training_of(Uncertain, attrs.evolve(tiny, learning_rate=0.1, batch_size=100))
    assert isinstance(state.model, Uncertain)
    for _ in range(5):
        train_epoch(state, batches, lambda: None)
    assert state.model.log_loss.item() == pytest.approx(0, abs=0.15)
    assert state.measures.meter.mean("loss") == pytest.approx(1, abs=0.1)


class OtherNoise(MLP):
    """Trains at one noise level only, and gives it weight 7."""

    def draw_sigmas(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.full((n,), 0.2, device=device)

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return torch.full_like(sigma, 7.0)


def test_noise_levels_and_weights_may_be_a_models_own(tiny: MLPConfig) -> None:
    state, batches = training_of(OtherNoise, tiny)
    train_epoch(state, batches, lambda: None)
    meter = state.measures.meter
    assert meter.count("loss/sigma_0.1_to_0.3") == state.n_images == meter.count("loss")


class OneNumber(MLP):
    """Returns the mean over the batch, which the trainer cannot use."""

    def loss(self, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().loss(images, noise, sigma, labels).mean()


def test_a_loss_that_is_not_one_value_per_image_is_refused(tiny: MLPConfig) -> None:
    state, batches = training_of(OneNumber, tiny)
    with pytest.raises(
        ValueError, match=r"model 'mlp': loss returned shape \(\); accepted: one value per image, shape"
    ):
        train_epoch(state, batches, lambda: None)
