"""``ConditionedDenoiser``: base class of networks that take noise level, span of time and class as one vector."""

from __future__ import annotations

from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.model import Denoiser
from core.diffusion.models.conditioning import Conditioning


class ConditionedDenoiser(Denoiser):
    """A denoiser whose network gets the images and one conditioning vector for each. It serves all families.

    A subclass defines ``output``. If its config class has the fields ``class_conditional`` and ``label_dropout``, they
    work as in the built-in models.

    Args:
        config: As for ``Denoiser``.
        embedding_size: Size of the conditioning vector, at least 4.

    Attributes:
        conditioning: Makes the vector from the noise level, the class, and in the family MeanFlow the span of time.

    Raises:
        TypeError: The subclass does not define ``output``.
        ValueError: ``embedding_size`` is less than 4; or as for ``Denoiser``.
    """

    def __init__(self, config: ModelConfig, embedding_size: int) -> None:
        super().__init__(config)
        if type(self).output is ConditionedDenoiser.output:
            raise TypeError(f"{type(self).__name__} must define output(images, conditioning)")
        n_classes = self.n_classes if self.class_conditional else 0
        self.conditioning = Conditioning(embedding_size, n_classes, has_span=config.family == "meanflow")

    def network(self, scaled: Tensor, c_noise: Tensor, labels: Tensor | None) -> Tensor:
        """Return F, with the shape of ``scaled``. See ``Denoiser.network``."""
        return self.output(scaled, self.conditioning(c_noise, labels))

    def average_velocity(self, z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None) -> Tensor:
        """Return u, with the shape of ``z``. See ``Denoiser.average_velocity``.

        Args:
            z: Points between images and noise, shape ``(N, *data_shape)``.
            t: Times, shape ``(N,)``.
            span: Lengths of time that end at ``t``, shape ``(N,)``.
            labels: Classes, int64 of shape ``(N,)``, or None.
        """
        return self.output(z, self.conditioning(t, labels, span))

    def output(self, images: Tensor, conditioning: Tensor) -> Tensor:
        """Return the output of the network: F in EDM and flow, u in MeanFlow.

        Args:
            images: Scaled noisy images, shape ``(N, *data_shape)``.
            conditioning: Their conditioning vectors, shape ``(N, embedding_size)``.

        Returns:
            Same shape as ``images``.
        """
        # Reached only by super().output(): __init__ refuses a subclass without an output of its own.
        raise NotImplementedError(f"{type(self).__name__} must define output(images, conditioning)")
