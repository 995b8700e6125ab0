"""Evaluations of a run that is being trained: each is of one checkpoint, whatever training saves meanwhile."""

import functools
import os
from collections import defaultdict
from pathlib import Path

import attrs
import pytest
from work import forked

from core.config.config import ModelConfig
from core.diffusion.eval import Evaluator
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model
from core.plugins import saved_config
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log
from core.runs.status import run_status

SHORT = MLPConfig(
    model="mlp",
    n_epochs=1,
    batch_size=500,
    hidden_layer_sizes=(16,),
    embedding_size=8,
    checkpoint_every_epochs=1,
    n_steps=2,
)
N_EPOCHS, N_EVALUATIONS = 12, 2

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def train_on(config: ModelConfig, run_path: Path) -> None:
    train_diffusion_model(attrs.evolve(config, n_epochs=N_EPOCHS), run_path, device="cpu", resume=run_path)


def evaluate_often(config: ModelConfig, run_path: Path) -> None:
    for _ in range(N_EVALUATIONS):
        evaluator = Evaluator(config, run_path, evaluators=["denoising", "frechet"], n_samples=40, device="cpu")
        assert len(evaluator.evaluate()) > 1


def test_an_evaluation_beside_training_is_of_one_checkpoint(tmp_path: Path) -> None:
    train_diffusion_model(SHORT, tmp_path, device="cpu")
    config = saved_config(tmp_path)
    works = [functools.partial(work, config, tmp_path) for work in (train_on, evaluate_often, evaluate_often)]
    assert forked(works) == [0, 0, 0]

    assert run_status(tmp_path).state == "finished"
    steps = {point.step for point in read_curve(tmp_path)[0]}
    assert len(steps) == N_EPOCHS
    log = read_result_log(tmp_path)
    assert log.faults == ()
    measured_on = defaultdict(set)
    for entry in log.entries:
        if entry.evaluation != "train" and entry.record.source is not None:
            measured_on[entry.evaluation].add((entry.record.source.step, entry.record.source.digest))
    assert len(measured_on) == 2 * N_EVALUATIONS
    assert all(len(checkpoints) == 1 for checkpoints in measured_on.values()), measured_on
    assert {step for ((step, _),) in measured_on.values()} <= steps
