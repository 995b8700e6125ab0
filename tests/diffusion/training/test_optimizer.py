"""The optimiser that a config asks for, and the learning rate of each step against torch's own schedulers."""

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import torch
from torch import nn

from core.config.config import ModelConfig
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.optimizer import learning_rate, make_optimizer
from core.utils.signals import RunInterrupted


def test_warm_up_and_cosine_are_those_of_torchs_schedulers() -> None:
    config = ModelConfig(learning_rate=0.02, warmup_steps=10, lr_schedule="cosine")
    reference = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.02)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=90)
    for step in range(1, 101):
        if step <= 10:
            expected = 0.02 * step / 10
        else:
            expected = reference.param_groups[0]["lr"]
            reference.step()
            cosine.step()
        assert learning_rate(config, step, n_steps=100) == pytest.approx(expected, rel=1e-9)
    assert expected < 1e-5


def test_the_rate_stays_where_it_is_without_a_cosine_and_in_a_training_shorter_than_its_warm_up() -> None:
    config = ModelConfig(learning_rate=0.02, warmup_steps=4)
    assert [learning_rate(config, step, 6) for step in range(1, 7)] == [0.005, 0.01, 0.015, 0.02, 0.02, 0.02]
    cosine = attrs.evolve(config, lr_schedule="cosine")
    assert [learning_rate(cosine, step, 3) for step in range(1, 4)] == [0.005, 0.01, 0.015]


def test_adamw_shrinks_weights_that_have_no_gradient_and_adam_does_not() -> None:
    for name, expected in (("adam", 2.0), ("adamw", 2.0 * (1 - 0.1 * 0.5))):  # AdamW: w - lr · decay · w
        weight = nn.Parameter(torch.tensor([2.0]))
        optimizer = make_optimizer(ModelConfig(optimizer=name, learning_rate=0.1, weight_decay=0.5), [weight])
        weight.grad = torch.zeros(1)
        optimizer.step()
        assert weight.item() == pytest.approx(expected)


def test_a_stopped_run_with_adamw_and_cosine_resumes_to_the_bit(
    tiny: MLPConfig, tmp_path: Path, assert_same_run: Callable[[Path, Path], None]
) -> None:
    config = attrs.evolve(tiny, optimizer="adamw", lr_schedule="cosine")
    whole, parts, left = tmp_path / "whole", tmp_path / "parts", [7]
    whole.mkdir(), parts.mkdir()

    def stop() -> RunInterrupted | None:
        left[0] -= 1
        return None if left[0] else RunInterrupted("interrupted by SIGTERM", 143)

    train_diffusion_model(config, whole, device="cpu")
    with pytest.raises(RunInterrupted):
        train_diffusion_model(config, parts, device="cpu", stop=stop)
    train_diffusion_model(config, parts, device="cpu", resume=parts)
    assert_same_run(whole, parts)
