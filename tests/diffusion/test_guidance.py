"""Classifier-free guidance: classes hidden in training, and samples of two Gaussian classes in closed form."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import torch
from torch import Tensor

from core.commands.eval import evaluate
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.data_fields import completed_from_data
from core.diffusion.datasets.base import TRAIN, Batches, load_data
from core.diffusion.evaluators import likelihood
from core.diffusion.evaluators.likelihood import LikelihoodEvaluator
from core.diffusion.model import HIDDEN, Denoiser
from core.diffusion.models.conditioning import Conditioning
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.sampling import bind, sample
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.epoch import train_epoch
from core.diffusion.training.state import TrainingState
from core.runs.result_log import read_result_log

SPREAD, MEAN = 0.5, 0.7  # class 0 is N(-MEAN, SPREAD²), class 1 is N(MEAN, SPREAD²)
CPU = torch.device("cpu")


class TwoGaussians(Denoiser):
    """The best denoiser of each class; of a hidden class, that of N(0, SPREAD²)."""

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        mean = torch.tensor([-MEAN, MEAN, 0.0])[labels]  # index HIDDEN is the last one
        return ((SPREAD**2 * x[:, 0] + sigma**2 * mean) / (SPREAD**2 + sigma**2))[:, None]


@pytest.mark.parametrize("family", ["edm", "flow"])
@pytest.mark.parametrize("guidance", [0.0, 1.0, 1.5, 3.0])
def test_guidance_moves_a_gaussian_class_by_its_scale(guidance: float, family: str) -> None:
    """The guided denoiser is that of N(guidance · mean, SPREAD²): its ODE takes noise n to that mean + shrunk n."""
    config = ModelConfig(data_shape=(1,), n_classes=2, sigma_data=1.0, n_steps=200, family=family)
    labels = torch.tensor([0, 0, 1, 1])
    noise = torch.tensor([[-1.0], [0.5], [0.5], [2.0]], dtype=torch.float64)
    samples = sample(bind(TwoGaussians(config), labels, guidance), lambda: noise, config)
    means = guidance * torch.tensor([[-MEAN], [-MEAN], [MEAN], [MEAN]])
    shrink = SPREAD / math.hypot(80, SPREAD)
    assert torch.allclose(samples, means + (noise * 80 - means) * shrink, atol=2e-3)


def test_a_hidden_class_adds_nothing_to_the_conditioning() -> None:
    torch.manual_seed(0)
    module, c_noise = Conditioning(16, 3), torch.zeros(2)
    hidden = module(c_noise, torch.full((2,), HIDDEN))
    seen = module(c_noise, torch.tensor([0, 2]))
    assert not torch.allclose(hidden, seen)
    assert module.classes is not None
    torch.nn.init.zeros_(module.classes.weight)
    assert torch.equal(module(c_noise, torch.tensor([0, 2])), hidden)


class Recording(MLP):
    """Keeps the labels that it was trained with."""

    def loss(self, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        self.seen = [*getattr(self, "seen", []), *labels.tolist()]
        return super().loss(images, noise, sigma, labels)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_share_of_the_classes_is_hidden_in_training_and_the_others_stay(tiny: MLPConfig, share: float) -> None:
    data = load_data(tiny, TRAIN)
    config, _ = completed_from_data(attrs.evolve(tiny, label_dropout=share), data)
    torch.manual_seed(0)
    state = TrainingState(config, model := Recording(config), CPU, len(data))
    train_epoch(state, Batches(data, CPU), lambda: None)
    n_hidden = model.seen.count(HIDDEN)
    assert n_hidden == pytest.approx(share * len(data), abs=5 * math.sqrt(share * (1 - share) * len(data)))
    counts = torch.bincount(torch.tensor([int(label) for _, label in (data[i] for i in range(len(data)))]))
    assert all(model.seen.count(label) <= counts[label] for label in range(10))
    assert sum(model.seen.count(label) for label in range(10)) == len(data) - n_hidden


def test_the_scale_is_an_option_of_evaluation_and_protocol(
    tiny: MLPConfig,
    tmp_path: Path,
    run_command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LikelihoodEvaluator, "n_images", 2)
    monkeypatch.setattr(LikelihoodEvaluator, "n_ode_steps", 2)
    monkeypatch.setattr(likelihood, "ROUGH_STEPS", 2)
    config = attrs.evolve(tiny, label_dropout=0.2, n_epochs=1)
    run_path = tmp_path / "run"
    run_path.mkdir()
    train_diffusion_model(config, run_path, device="cpu")
    for scale in ("1", "1.5"):
        evaluators = [word for name in ("frechet", "denoising", "likelihood") for word in ("--evaluator", name)]
        assert run_command(evaluate, run_path, *evaluators, "--guidance", scale, "--device", "cpu")[0] == 0
    for name in ("denoising_loss", "bits_per_dim"):
        twice = [each.record for each in read_result_log(run_path).entries if each.record.metadata.name == name]
        assert len(twice) == 2
        assert twice[0] == twice[1], "it does not use guidance"
    found = [record for record in read_result_log(run_path).newest() if record.metadata.name == "frechet_distance"]
    by_scale = {dict(record.metadata.protocol).get("guidance"): record.result.mean for record in found}
    assert set(by_scale) == {None, 1.5}, "without guidance, the protocol is that of earlier versions"
    assert by_scale[None] != by_scale[1.5]


def test_guidance_without_label_dropout_is_refused(
    trained_run: Path, tmp_path: Path, run_command: Callable[..., tuple[int, str, str]]
) -> None:
    run_path = shutil.copytree(trained_run, tmp_path / "run")
    code, _, err = run_command(evaluate, run_path, "--guidance", "1.5")
    assert (code, "guidance: got 1.5, but the model is not trained with label_dropout" in err) == (2, True)
    assert not (run_path / "evaluations").exists()
    with pytest.raises(ConfigError, match="the data have no classes"):
        MLPConfig(label_dropout=0.1, guidance=2.0, n_classes=0)
    with pytest.raises(ConfigError, match="label_dropout: a model without class_conditional has no labels to hide"):
        MLPConfig(label_dropout=0.1, class_conditional=False)
