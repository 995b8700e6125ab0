"""The denoising loss on held-out images, by noise level."""

from __future__ import annotations

import torch
from torch import Tensor

from core.diffusion.datasets.base import HELD_OUT, Batches, ImageData
from core.diffusion.evaluators.base import RunEvaluator, conditional
from core.diffusion.model import Denoiser, denoising_losses
from core.diffusion.noise import Purpose, SampleNoise
from core.runs.sample_values import save_values
from core.utils.meters import Meter
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord

LEVELS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
N_DRAWS = 4
NOISE_SEED = 0
IMAGES_PER_BATCH = 250


class DenoisingEvaluator(RunEvaluator):
    """The EDM loss on the held-out images at fixed noise levels, and its mean over these levels.

    The unit of replication is the image: the loss of an image is averaged over its draws of noise first, then mean and
    standard error are taken over the images. The noise is fixed per image and level, whatever the run's seed, so that
    two models can be compared image by image.
    """

    def evaluate(self) -> ResultCollection:
        """Return "denoising_loss", the mean over the levels, and "denoising_loss/sigma_..." for each level."""
        denoiser, data = self.denoiser(), self.data(HELD_OUT)
        batches = Batches(data, self.device())
        meters, all_losses = [Meter("loss") for _ in LEVELS], []
        for start in range(0, len(data), IMAGES_PER_BATCH):
            indices = torch.arange(start, min(start + IMAGES_PER_BATCH, len(data)))
            losses = _losses_by_level(denoiser, *batches.take(indices), indices)
            for meter, of_level in zip(meters, losses, strict=True):
                meter.update(loss=of_level)
            all_losses.append(losses.mean(0))
            self.settings.progress(int(indices[-1]) + 1, len(data), "denoising held-out images")
        loss = torch.cat(all_losses)
        given = conditional(denoiser)
        overall, meter = self._metadata("denoising_loss", "mean over levels", data, given), Meter("loss")
        meter.update(loss=loss)
        save_values(self.run_path, self.settings.evaluation, "denoising", range(len(data)), loss.numpy(), overall)
        by_level = [
            self._metadata(f"denoising_loss/sigma_{level:g}", level, data, given, role="part") for level in LEVELS
        ]
        return ResultCollection(
            ResultRecord(metadata, meter.result("loss"))
            for metadata, meter in zip([overall, *by_level], [meter, *meters], strict=True)
        )

    def _metadata(
        self, name: str, sigma: float | str, data: ImageData, given: str, role: str = "primary"
    ) -> ResultMetadata:
        """Return the metadata of a result.

        Args:
            name: Name of the result.
            sigma: Noise level, or what is said of several.
            data: The held-out images.
            given: What the denoiser is conditional on: "label" or "none".
            role: Role of the result.
        """
        protocol = {
            **self.data_protocol(data),
            "split": HELD_OUT,
            "n_images": len(data),
            "conditional": given,
            "sigma": sigma,
            "sigma_data": self.config.sigma_data,
            "n_draws": N_DRAWS,
            "noise_seed": NOISE_SEED,
        }
        return self.metadata(name, unit="image", protocol=protocol, higher_is_better=False, role=role)


@torch.no_grad()
def _losses_by_level(denoiser: Denoiser, images: Tensor, labels: Tensor | None, indices: Tensor) -> Tensor:
    """Return the loss of each image at each level, averaged over the draws of noise.

    Args:
        denoiser: The model.
        images: Shape ``(N, *data_shape)``.
        labels: int64, shape ``(N,)``, or None.
        indices: The images' indices in the data set, int64, shape ``(N,)``.

    Returns:
        float64, shape ``(n_levels, N)``, on the CPU.
    """
    rows = []
    for place, level in enumerate(LEVELS):
        noise = SampleNoise(NOISE_SEED, Purpose.DENOISING, indices.tolist(), variant=place)
        sigma = torch.full((len(images),), level, device=images.device)
        draws = [
            denoising_losses(
                denoiser, images, noise.draw(denoiser.data_shape).to(images), sigma, denoiser.sigma_data, labels
            )
            for _ in range(N_DRAWS)
        ]
        rows.append(torch.stack(draws).double().mean(0).cpu())
    return torch.stack(rows)
