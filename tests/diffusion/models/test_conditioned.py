"""A network of one's own that takes one conditioning vector: it serves all families."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor, nn

from core import plugins
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.models.conditioned import ConditionedDenoiser
from core.diffusion.models.conditioning import Conditioning
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model

Curve = Callable[[Path], dict[int, dict[str, Any]]]


class Affine(ConditionedDenoiser):
    """The images times a factor, plus a shift; both come from the conditioning vector."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, embedding_size=16)
        self.modulation = nn.Linear(16, 2)

    def output(self, images: Tensor, conditioning: Tensor) -> Tensor:
        factor, shift = self.modulation(conditioning).chunk(2, dim=1)  # (N, 1) each
        return (images.flatten(1) * factor + shift).reshape(images.shape)


def affine(**fields: Any) -> Affine:
    torch.manual_seed(0)
    about = {"data_shape": (2, 3), "n_classes": 4, "sigma_data": 1.0, **fields}
    return Affine(MLPConfig(model="mlp", **about))


@pytest.mark.parametrize("family", ["edm", "flow", "meanflow"])
def test_a_network_with_an_output_alone_is_trained_in_every_family(
    family: str, tiny: MLPConfig, tmp_path: Path, curve: Curve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "load", _loads_affine(plugins.load))
    config = attrs.evolve(tiny, family=family, n_epochs=3, learning_rate=0.03, warmup_steps=0)
    assert isinstance(train_diffusion_model(config, tmp_path, device="cpu"), Affine)
    first, *_, last = curve(tmp_path).values()
    assert last["measures"]["loss"]["mean"] < 0.95 * first["measures"]["loss"]["mean"]


def _loads_affine(load: Any) -> Any:
    return lambda group, name: Affine if (group, name) == (plugins.MODELS, "mlp") else load(group, name)


def test_noise_level_time_span_and_class_arrive_in_their_places() -> None:
    inputs, labels = torch.randn(3, 2, 3), torch.tensor([0, 3, -1])
    first, second = torch.tensor([0.2, 0.5, 0.9]), torch.tensor([0.1, 0.5, 0.0])
    model = affine()
    assert torch.equal(model.network(inputs, first, labels), model.output(inputs, model.conditioning(first, labels)))
    model = affine(family="meanflow")
    expected = model.output(inputs, model.conditioning(first, labels, second))
    assert torch.equal(model.average_velocity(inputs, first, second, labels), expected)
    # By hand: sine and cosine of both times, in this order, through two layers; the class is added, unless hidden.
    angles = torch.cat(
        [first[:, None] * model.conditioning.frequencies, second[:, None] * model.conditioning.frequencies], 1
    )
    hidden = nn.functional.silu(model.conditioning.hidden(torch.cat([angles.sin(), angles.cos()], 1)))
    assert model.conditioning.classes is not None
    classes = model.conditioning.classes.weight[[0, 3, 0]] * torch.tensor([[1.0], [1.0], [0.0]])
    vectors = nn.functional.silu(model.conditioning.out(hidden) + classes)
    assert torch.allclose(model.conditioning(first, labels, second), vectors)


def test_a_model_that_is_not_class_conditional_needs_no_labels() -> None:
    model = affine(class_conditional=False)
    assert model.conditioning.classes is None
    assert model(torch.randn(3, 2, 3), torch.ones(3), None).shape == (3, 2, 3)


def test_a_network_without_an_output_is_refused() -> None:
    own = type(
        "Own", (ConditionedDenoiser,), {"__init__": lambda self, config: ConditionedDenoiser.__init__(self, config, 16)}
    )
    with pytest.raises(TypeError, match=r"Own must define output\(images, conditioning\)"):
        own(MLPConfig(model="mlp", data_shape=(2,), n_classes=0, sigma_data=1.0))


def test_a_network_that_meanflow_would_not_call_is_refused() -> None:
    own = type("Own", (Affine,), {"network": Affine.network})
    config = MLPConfig(model="mlp", data_shape=(2,), n_classes=0, sigma_data=1.0)
    assert isinstance(own(config), Affine)
    with pytest.raises(ConfigError, match="does not call network of model 'mlp': Own must define average_velocity"):
        own(attrs.evolve(config, family="meanflow"))


def test_an_embedding_without_a_frequency_is_refused() -> None:
    """The network would not see the noise level."""
    assert len(Conditioning(4, n_classes=0).frequencies) == 1
    with pytest.raises(ValueError, match="the size of the embedding must be at least 4, got 3"):
        Conditioning(3, n_classes=0)
