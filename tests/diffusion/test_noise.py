"""Noise per sample, and the global generators that training must not disturb."""

import random

import numpy as np
import pytest
import torch

from core.diffusion.noise import Purpose, SampleNoise
from core.diffusion.training.random_state import random_states, seeded, set_random_states

CPU = torch.device("cpu")


def test_a_sample_has_its_noise_whatever_is_drawn_beside_it() -> None:
    together = SampleNoise(3, Purpose.SAMPLING, range(10)).draw((2, 4))
    assert together.device == CPU
    for index in (0, 7, 9):
        assert torch.equal(SampleNoise(3, Purpose.SAMPLING, [index]).draw((2, 4))[0], together[index])


def test_seeds_purposes_samples_variants_and_draws_differ() -> None:
    noise = SampleNoise(0, Purpose.SAMPLING, [0, 1])
    draws = [*noise.draw((3,)), *noise.draw((3,))]
    draws += [*SampleNoise(1, Purpose.SAMPLING, [0, 1]).draw((3,)), *SampleNoise(0, Purpose.DENOISING, [0]).draw((3,))]
    draws += [*SampleNoise(0, Purpose.SAMPLING, [0], variant=1).draw((3,))]
    assert len({tuple(draw.tolist()) for draw in draws}) == len(draws)


def test_noise_is_standard_normal_over_samples() -> None:
    noise = SampleNoise(0, Purpose.SAMPLING, range(4000)).draw((5,)).numpy()
    assert noise.dtype == np.float64
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert noise.var() == pytest.approx(1, abs=4 * np.sqrt(2 / noise.size))
    assert np.abs(np.corrcoef(noise.T) - np.eye(5)).max() < 4.5 / np.sqrt(len(noise))


def test_the_largest_seed_and_the_smallest_differ() -> None:
    assert SampleNoise(2**63 - 1, Purpose.SAMPLING, [0]).draw((1,)) != SampleNoise(0, Purpose.SAMPLING, [0]).draw((1,))


def draw_from_all() -> list[float]:
    return [random.gauss(0, 1), float(np.random.standard_normal()), float(torch.randn(()))]


def test_a_seeded_block_repeats_itself_and_leaves_the_callers_generators_alone() -> None:
    draw_from_all()  # leaves second halves of Gaussian pairs behind
    before = random_states(CPU)
    expected_next = draw_from_all()
    set_random_states(before, CPU)
    blocks = []
    for _ in range(2):
        with seeded(7, CPU):
            blocks.append(draw_from_all())
    assert blocks[0] == blocks[1]
    assert draw_from_all() == expected_next


def test_the_callers_generators_are_given_back_after_an_error() -> None:
    before = random_states(CPU)
    expected_next = draw_from_all()
    set_random_states(before, CPU)
    with pytest.raises(ZeroDivisionError, match="division"), seeded(7, CPU):
        1 / (draw_from_all()[0] * 0)
    assert draw_from_all() == expected_next
