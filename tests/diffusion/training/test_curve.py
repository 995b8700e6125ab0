"""What an epoch's line of the curve says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.diffusion.training.curve import (
    LOSS_BY_SIGMA,
    EpochMeasures,
    TrainingDivergedError,
)
from core.runs.files import read_json_lines
from core.runs.metrics import log_curve_point, wall_time_until


def test_losses_are_metered_per_image_and_by_noise_level(tmp_path: Path) -> None:
    measures = EpochMeasures()
    measures.add(1, torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.05, 0.1, 0.29]), torch.tensor(0.5))
    measures.add(2, torch.tensor([8.0, 16.0]), torch.tensor([0.3, 5.0]), torch.tensor(1.5))
    measures.fold()
    log_curve_point(tmp_path, measures.meter, 2, epoch=1, wall_time_s=0.25, images_per_s=20.0)
    ((line,), _) = read_json_lines(tmp_path / "metrics.jsonl")
    assert (line["schema"], line["step"], line["epoch"], line["wall_time_s"]) == ("pyml.metrics/1", 2, 1, 0.25)
    losses = [1.0, 2.0, 4.0, 8.0, 16.0]
    assert line["measures"]["loss"] == {
        "mean": np.mean(losses),
        "spread": pytest.approx(np.std(losses, ddof=1)),
        "n": 5,
    }
    assert line["measures"]["grad_norm"]["mean"] == 1.0
    assert [(line["measures"][name]["mean"], line["measures"][name]["n"]) for name in LOSS_BY_SIGMA] == [
        (1.0, 1),
        (3.0, 2),
        (8.0, 1),
        (16.0, 1),
    ]


def test_how_often_it_is_folded_makes_no_difference() -> None:
    torch.manual_seed(0)
    batches = [(torch.rand(7), torch.rand(7) * 2, torch.rand(())) for _ in range(9)]
    states = []
    for every in (1, 4, 100):
        measures = EpochMeasures(every)
        for step, batch in enumerate(batches):
            measures.add(step, *batch)
            if measures.is_full:
                measures.fold()
        measures.fold()
        states.append(measures.meter.state_dict())
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize(("loss", "norm"), [(float("nan"), 1.0), (float("inf"), 1.0), (1.0, float("nan"))])
def test_the_first_step_that_is_not_finite_is_named(loss: float, norm: float) -> None:
    measures = EpochMeasures()
    measures.add(11, torch.ones(2), torch.ones(2), torch.tensor(1.0))
    measures.add(12, torch.tensor([1.0, loss]), torch.ones(2), torch.tensor(norm))
    measures.add(13, torch.full((2,), float("nan")), torch.ones(2), torch.tensor(1.0))
    with pytest.raises(TrainingDivergedError, match="diverged at step 12"):
        measures.fold()


def test_losses_are_looked_at_every_50_steps() -> None:
    measures = EpochMeasures()
    for step in range(50):
        assert not measures.is_full
        measures.add(step, torch.ones(2), torch.ones(2), torch.tensor(1.0))
    assert measures.is_full


def test_the_time_so_far_is_that_of_the_last_epoch_before_the_checkpoint(tmp_path: Path) -> None:
    assert wall_time_until(tmp_path, 100) == 0.0
    for step, time_s in ((10, 1.0), (20, 2.0), (30, 3.0)):
        log_curve_point(tmp_path, EpochMeasures().meter, step, epoch=step // 10, wall_time_s=time_s)
    assert wall_time_until(tmp_path, 25) == 2.0
    assert wall_time_until(tmp_path, 5) == 0.0
