"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from core.diffusion.training.ema import EMA


def test_average_is_the_recursion_of_the_paper() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    ema = EMA(model, half_life_images=100)
    expected = model.weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        ema.update(n_seen=step * 10, batch_size=10)
        half_life = min(100, step * 10 * 0.05)
        beta = 0.5 ** (10 / half_life) if step else 0.0
        expected = beta * expected + (1 - beta) * model.weight.detach()
    assert torch.allclose(ema.state_dict()["weight"], expected, atol=1e-6)


def test_half_a_constant_is_forgotten_after_one_half_life() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    ema = EMA(model, half_life_images=1000)
    nn.init.zeros_(model.weight)
    for _ in range(10):
        ema.update(n_seen=10**6, batch_size=100)
    assert ema.state_dict()["weight"].item() == pytest.approx(0.5)


def test_buffers_are_copied_and_frozen_parameters_left_alone() -> None:
    model = nn.BatchNorm1d(2)
    model.bias.requires_grad_(False)
    ema = EMA(model, half_life_images=10)
    model.running_mean.fill_(3.0)  # type: ignore[union-attr, operator]
    ema.update(n_seen=0, batch_size=1)
    assert ema.state_dict()["running_mean"].tolist() == [3.0, 3.0]
    assert set(ema.state_dict()) == set(model.state_dict())


def test_the_average_survives_a_round_trip() -> None:
    model = nn.Linear(2, 2)
    ema = EMA(model, half_life_images=50)
    with torch.no_grad():
        model.weight.add_(1)
    ema.update(n_seen=100, batch_size=10)
    restored = EMA(nn.Linear(2, 2), half_life_images=50)
    restored.load_state_dict(ema.state_dict())
    assert all(
        torch.equal(restored.state_dict()[name], value) for name, value in ema.state_dict().items() if name == "weight"
    )
