"""The denoising loss on held-out images, by noise level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.diffusion.datasets.base import HELD_OUT, Batches, ImageData
from core.diffusion.evaluators.base import PerSample, Values, conditional
from core.diffusion.model import Denoiser, denoising_losses
from core.diffusion.noise import Purpose, SampleNoise
from core.runs.sample_values import save_values
from core.utils.meters import Meter
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord

LEVELS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
N_DRAWS = 4
NOISE_SEED = 0
IMAGES_PER_BATCH = 250


class DenoisingEvaluator(PerSample):
    """The EDM loss on the held-out images at fixed noise levels, and its mean over these levels.

    The unit of replication is the image: the loss of an image is averaged over its draws of noise first, then mean and
    standard error are taken over the images. The noise is fixed per image and level, whatever the run's seed, so that
    two models can be compared image by image.
    """

    def sample_ids(self) -> range:
        """Return the indices of the held-out images."""
        return range(len(self.data(HELD_OUT)))

    def measure(self, ids: Sequence[int]) -> Values:
        """Return the loss of these images at each level, "sigma_...", and its mean over the levels, "loss"."""
        denoiser, batches, found = self.denoiser(), Batches(self.data(HELD_OUT), self.device()), []
        for start in range(0, len(ids), IMAGES_PER_BATCH):
            indices = torch.as_tensor(ids[start : start + IMAGES_PER_BATCH])
            found.append(_losses_by_level(denoiser, *batches.take(indices), indices))
            self.settings.progress(start + len(indices), len(ids), "denoising held-out images")
        losses = torch.cat(found, 1)  # (n_levels, n)
        by_level = {_column(level): row.numpy() for level, row in zip(LEVELS, losses, strict=True)}
        return {"loss": losses.mean(0).numpy(), **by_level}

    def results(self, values: Values) -> ResultCollection:
        """Return "denoising_loss", the mean over the levels, and "denoising_loss/sigma_..." for each level."""
        data, given, meter = self.data(HELD_OUT), conditional(self.denoiser()), Meter()
        for name, losses in values.items():
            meter.update({name: losses})
        overall = self._metadata("denoising_loss", "mean over levels", data, given)
        save_values(self.run_path, self.settings.evaluation, "denoising", self.sample_ids(), values["loss"], overall)
        records = [ResultRecord(overall, meter.result("loss"))]
        for level in LEVELS:
            metadata = self._metadata(f"denoising_loss/{_column(level)}", level, data, given, role="part")
            records.append(ResultRecord(metadata, meter.result(_column(level))))
        return ResultCollection(records)

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


def _column(level: float) -> str:
    return f"sigma_{level:g}"


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
