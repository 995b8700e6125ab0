"""What happens to the images of a batch before the model sees them."""

import attrs
import pytest
import torch
from torch import Tensor

from core.config.errors import ConfigError
from core.diffusion.data_fields import completed_from_data
from core.diffusion.datasets.base import HELD_OUT, TRAIN, Batches, load_data
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.training.epoch import train_step
from core.diffusion.training.state import TrainingState

CPU = torch.device("cpu")


class Recording(MLP):
    """Keeps the images that it was trained on."""

    seen: Tensor

    def loss(self, images: Tensor, noise: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        self.seen = images.clone()
        return super().loss(images, noise, sigma, labels)


@pytest.mark.parametrize("flip", [False, True])
def test_about_half_of_the_images_are_mirrored_left_to_right_on_request(tiny: MLPConfig, flip: bool) -> None:
    data = load_data(tiny, TRAIN)
    config, _ = completed_from_data(attrs.evolve(tiny, flip=flip), data)
    torch.manual_seed(0)
    state, batches = TrainingState(config, model := Recording(config), CPU, len(data)), Batches(data, CPU)
    train_step(state, batches, indices := torch.arange(500))
    as_they_are = batches.take(indices)[0]
    same = (model.seen == as_they_are).flatten(1).all(1)
    mirrored = (model.seen == as_they_are[:, :, :, list(range(7, -1, -1))]).flatten(1).all(1)
    assert bool((same | mirrored).all())
    assert int((mirrored & ~same).sum()) == pytest.approx(250 if flip else 0, abs=5 * 11 if flip else 0)
    held_out = (load_data(each, HELD_OUT)[0][0] for each in (config, tiny))
    assert torch.equal(*held_out)


def test_points_cannot_be_mirrored(tiny: MLPConfig) -> None:
    points = attrs.evolve(tiny, dataset="gaussians", flip=True)
    with pytest.raises(ConfigError, match="flip: the data are no images"):
        completed_from_data(points, load_data(points, TRAIN))
