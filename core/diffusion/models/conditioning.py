"""The embedding of noise level and class, and of a span of time, which a network takes beside the noisy image."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Conditioning(nn.Module):
    """Embeds the noise level, and the class if the data have classes, in one vector per image.

    The frequencies cover c_noise = ln(sigma) / 4 over EDM's whole range of noise levels, -1.6 to 1.1, with periods
    from 25 down to 0.4.

    Args:
        size: Size of the vector, at least 4.
        n_classes: Number of classes; 0 leaves the class out.
        has_span: Whether a span of time is embedded as well, as the family MeanFlow needs.

    Raises:
        ValueError: The size is less than 4, so that there would be no frequency.
    """

    frequencies: Tensor
    has_constant_buffers = True  # the processes of a training need not exchange them

    def __init__(self, size: int, n_classes: int, has_span: bool = False) -> None:
        super().__init__()
        if size < 4:
            raise ValueError(f"the size of the embedding must be at least 4, got {size}")
        self.register_buffer("frequencies", torch.logspace(math.log10(0.25), math.log10(16), size // 4))
        self.hidden = nn.Linear((2 if has_span else 1) * 2 * (size // 4), size)
        self.out = nn.Linear(size, size)
        self.classes = nn.Embedding(n_classes, size) if n_classes else None

    def forward(self, c_noise: Tensor, labels: Tensor | None, span: Tensor | None = None) -> Tensor:
        """Return shape ``(N, size)``.

        Args:
            c_noise: ln(sigma) / 4, or the time t in the family MeanFlow, shape ``(N,)``.
            labels: Classes, int64 of shape ``(N,)``, or None. Of a hidden class, -1, nothing is added.
            span: Spans of time, shape ``(N,)``; None unless the module has a span.

        Raises:
            ValueError: The embedding has classes but ``labels`` is None.
        """
        inputs = c_noise[:, None] if span is None else torch.stack([c_noise, span], 1)
        angles = (inputs[:, :, None] * self.frequencies).flatten(1)  # (N, size / 4), with a span twice as many
        embedded: Tensor = self.out(functional.silu(self.hidden(torch.cat([angles.sin(), angles.cos()], 1))))
        if self.classes is not None:
            if labels is None:
                raise ValueError("this denoiser is class-conditional and needs labels, got None")
            embedded = embedded + self.classes(labels.clamp(min=0)) * (labels >= 0)[:, None]
        return functional.silu(embedded)
