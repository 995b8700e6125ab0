"""``unet``: a compact convolutional U-Net as a denoiser, similar to DDPM++ and EDM."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.models.conditioned import ConditionedDenoiser
from core.diffusion.models.configs import UNetConfig, own_config


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm with at least 4 channels per group and at most 32 groups, as in EDM."""
    return nn.GroupNorm(math.gcd(min(32, max(1, channels // 4)), channels), channels)


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """Set a layer's weights to 0, so that its branch adds nothing at the start of training."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with group norm and a shortcut; the conditioning scales and shifts between them."""

    def __init__(self, n_in: int, n_out: int, embedding_size: int, dropout: float) -> None:
        super().__init__()
        self.norm_in, self.conv_in = group_norm(n_in), nn.Conv2d(n_in, n_out, 3, padding=1)
        self.modulation = nn.Linear(embedding_size, 2 * n_out)
        self.norm_out, self.conv_out = group_norm(n_out), zeroed(nn.Conv2d(n_out, n_out, 3, padding=1))
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """Return ``(N, n_out, height, width)``, given ``(N, n_in, height, width)`` and ``(N, embedding_size)``."""
        hidden = self.conv_in(functional.silu(self.norm_in(x)))  # (N, n_out, height, width)
        scale, shift = self.modulation(conditioning)[:, :, None, None].chunk(2, dim=1)  # (N, n_out, 1, 1)
        hidden = functional.silu(self.norm_out(hidden) * (1 + scale) + shift)
        update: Tensor = self.conv_out(self.dropout(hidden))
        shortcut: Tensor = self.shortcut(x)
        return (shortcut + update) * math.sqrt(0.5)  # keeps the variance of a sum of two equal ones


class Attention(nn.Module):
    """Self-attention over all pixels of an image, with a shortcut."""

    HEAD_CHANNELS = 32

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.n_heads = max(1, channels // self.HEAD_CHANNELS)
        self.norm = group_norm(channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape as ``x``, ``(N, channels, height, width)``."""
        n, channels, height, width = x.shape
        # (N, 3, n_heads, channels per head, pixels), then one (N, n_heads, pixels, channels per head) each
        heads = self.query_key_value(self.norm(x)).reshape(n, 3, self.n_heads, channels // self.n_heads, -1)
        query, key, value = heads.transpose(-1, -2).unbind(1)
        attended = functional.scaled_dot_product_attention(query, key, value).transpose(-1, -2)
        update: Tensor = self.out(attended.reshape(n, channels, height, width))
        return (x + update) * math.sqrt(0.5)


class UNet(ConditionedDenoiser):
    """Residual blocks at falling, then rising resolution, with skip connections between them.

    Each block on the way up also takes the output of the corresponding block on the way down.
    Attention is used at the lowest resolution only. The last layer starts at 0, so the network of an untrained model
    returns 0.

    With ``patch_size`` p, the network works on images of a p-th of the height and width, with p² times the channels.

    Source: Song et al. 2021, arXiv:2011.13456 (DDPM++), and NVlabs/edm, networks.py (SongUNet), made smaller. Unlike
    there, average pooling and nearest-neighbour upsampling change the resolution, and each level has as many blocks on
    the way up as on the way down. Patches: Luhman & Luhman 2022, "Improving Diffusion Model Efficiency Through
    Patching", arXiv:2207.04316.
    """

    def __init__(self, config: ModelConfig) -> None:
        own = own_config(config, UNetConfig, "unet")
        super().__init__(config, own.embedding_size)
        channels = check_shape(self.data_shape, own) * own.patch_size**2
        embedding, dropout, n_blocks = own.embedding_size, own.dropout, own.blocks_per_level
        self.patch_size = own.patch_size
        widths = [own.channels * factor for factor in own.channel_multipliers]
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        previous = widths[0]
        for width in widths:
            ins = [previous] + [width] * (n_blocks - 1)
            self.down.append(nn.ModuleList(ResidualBlock(n_in, width, embedding, dropout) for n_in in ins))
            previous = width
        self.middle_in = ResidualBlock(previous, previous, embedding, dropout)
        self.attention = Attention(previous)
        self.middle_out = ResidualBlock(previous, previous, embedding, dropout)
        for width in reversed(widths):
            ins = [previous + width] + [2 * width] * (n_blocks - 1)
            self.up.append(nn.ModuleList(ResidualBlock(n_in, width, embedding, dropout) for n_in in ins))
            previous = width
        self.norm, self.out = group_norm(previous), zeroed(nn.Conv2d(previous, channels, 3, padding=1))

    def output(self, images: Tensor, conditioning: Tensor) -> Tensor:
        """Return the shape of ``images``. See ``ConditionedDenoiser.output``."""
        patches = functional.pixel_unshuffle(images, self.patch_size)  # below, height and width are those of patches
        hidden, skips = self.stem(patches), []  # (N, channels, height, width)

        # Down: each level after the first halves height and width.
        for level, blocks in enumerate(self.down):
            if level:
                hidden = functional.avg_pool2d(hidden, 2)
            for block in blocks:  # type: ignore[attr-defined]
                hidden = block(hidden, conditioning)
                skips.append(hidden)  # (N, width of the level, height / 2^level, width / 2^level)

        # Middle: attention at the lowest resolution.
        hidden = self.middle_in(hidden, conditioning)
        hidden = self.middle_out(self.attention(hidden), conditioning)

        # Up: each level after the first doubles height and width; each block takes the skip of its counterpart.
        for level, blocks in enumerate(self.up):
            if level:
                hidden = functional.interpolate(hidden, scale_factor=2.0)
            for block in blocks:  # type: ignore[attr-defined]
                hidden = block(torch.cat([hidden, skips.pop()], 1), conditioning)
        raw: Tensor = self.out(functional.silu(self.norm(hidden)))  # (N, channels of the patches, height, width)
        return functional.pixel_shuffle(raw, self.patch_size)


def check_shape(data_shape: tuple[int, ...], config: UNetConfig) -> int:
    """Check that the U-Net can take data of this shape, and return its number of channels.

    Raises:
        ConfigError: The data are not images, or height or width cannot be divided into patches, or not halved as often
            as the levels need.
    """
    times, patch = len(config.channel_multipliers) - 1, config.patch_size
    if len(data_shape) != 3:
        raise ConfigError(
            f"model 'unet': data of shape {data_shape}; accepted: images. For other data try --model mlp."
        )
    channels, height, width = data_shape
    if height % patch or width % patch:
        raise ConfigError(f"patch_size: {patch} does not divide {height}×{width} images. Try: 1.")
    if height % (patch * 2**times) or width % (patch * 2**times):
        size = f"{height}×{width}" if patch == 1 else f"{height // patch}×{width // patch} patches"
        raise ConfigError(
            f"channel_multipliers: {len(config.channel_multipliers)} levels halve an image {times} times, which "
            f"{size} does not allow. Give fewer."
        )
    return channels
