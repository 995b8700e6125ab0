"""The U-Net: its shapes, its start, and what it refuses."""

import attrs
import pytest
import torch

from core.config.errors import ConfigError
from core.diffusion.models.configs import UNetConfig
from core.diffusion.models.unet import UNet

CONFIG = UNetConfig(
    model="unet", channels=8, embedding_size=16, data_shape=(1, 8, 8), n_classes=10, sigma_data=0.5, dropout=0.1
)


def randomised(config: UNetConfig) -> UNet:
    """Return a U-Net all of whose branches do something."""
    torch.manual_seed(0)
    model = UNet(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize(
    ("shape", "multipliers", "blocks"),
    [
        ((1, 8, 8), (1, 2), 1),
        ((3, 16, 16), (1, 2, 2), 2),
        ((1, 28, 28), (1, 2, 2), 1),
        ((1, 6, 10), (1, 2), 3),
        ((2, 5, 5), (1,), 1),
    ],
)
def test_output_has_the_shape_of_the_images(shape: tuple[int, ...], multipliers: tuple[int, ...], blocks: int) -> None:
    config = attrs.evolve(CONFIG, data_shape=shape, channel_multipliers=multipliers, blocks_per_level=blocks)
    x = torch.randn(2, *shape)
    assert UNet(config)(x, torch.ones(2), torch.tensor([0, 1])).shape == x.shape


def test_untrained_it_is_its_preconditioning() -> None:
    x = torch.randn(3, 1, 8, 8)
    c_skip = 0.25 / (0.25 + 4)
    assert torch.allclose(UNet(CONFIG)(x, torch.tensor(2.0), torch.zeros(3, dtype=torch.int64)), c_skip * x)


def test_output_depends_on_noise_level_and_class_and_on_its_own_image_alone() -> None:
    model = randomised(CONFIG)
    x, labels, c_noise = torch.randn(3, 1, 8, 8), torch.tensor([0, 1, 2]), torch.zeros(3)
    with torch.no_grad():
        out = model.network(x, c_noise, labels)
        assert not torch.allclose(out, model.network(x, c_noise + 0.2, labels))
        assert not torch.allclose(out, model.network(x, c_noise, labels.flip(0)))
        changed = x.clone()
        changed[0] += 1
        assert torch.allclose(out[1:], model.network(changed, c_noise, labels)[1:], rtol=1e-4, atol=1e-4)


def test_every_place_sees_every_other_through_the_attention() -> None:
    model = randomised(attrs.evolve(CONFIG, data_shape=(1, 16, 16), channel_multipliers=(1, 1)))
    x = torch.randn(1, 1, 16, 16, requires_grad=True)
    model.network(x, torch.zeros(1), torch.tensor([0]))[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


def test_every_parameter_learns_once_the_zeroed_layers_have_moved() -> None:
    model = randomised(CONFIG).train()
    model(torch.randn(4, 1, 8, 8), torch.ones(4), torch.arange(4)).square().mean().backward()
    unused = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert unused == []


def test_patches_of_pixels_are_channels_of_a_smaller_image() -> None:
    patched = randomised(attrs.evolve(CONFIG, data_shape=(3, 8, 12), patch_size=2))
    small = randomised(attrs.evolve(CONFIG, data_shape=(12, 4, 6)))
    x, labels, c_noise = torch.randn(2, 3, 8, 12), torch.tensor([0, 1]), torch.zeros(2)
    # By hand: channel c, row i and column j of each patch become channel 4 c + 2 i + j.
    rearranged = torch.stack([x[:, c, i::2, j::2] for c in range(3) for i in range(2) for j in range(2)], 1)
    with torch.no_grad():
        out = small.network(rearranged, c_noise, labels)
        expected = torch.zeros_like(x)
        for place in range(12):
            c, i, j = place // 4, place // 2 % 2, place % 2
            expected[:, c, i::2, j::2] = out[:, place]
        assert torch.allclose(patched.network(x, c_noise, labels), expected, rtol=1e-4, atol=1e-4)


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="patch_size: 3 does not divide 8×8 images"):
        UNet(attrs.evolve(CONFIG, patch_size=3))
    with pytest.raises(ConfigError, match="3 levels halve an image 2 times, which 14×14 patches does not allow"):
        UNet(attrs.evolve(CONFIG, data_shape=(1, 28, 28), channel_multipliers=(1, 2, 2), patch_size=2))


def test_images_that_cannot_be_halved_so_often_are_refused() -> None:
    config = attrs.evolve(CONFIG, data_shape=(1, 28, 28), channel_multipliers=(1, 2, 2, 2))
    with pytest.raises(ConfigError, match="4 levels halve an image 3 times, which 28×28 does not allow"):
        UNet(config)


def test_data_that_are_no_images_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'unet': data of shape \(2,\); accepted: images"):
        UNet(attrs.evolve(CONFIG, data_shape=(2,)))
