"""How likely held-out images are under the model, in bits per dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from core.diffusion.datasets.base import HELD_OUT, Batches, ImageData, load_data
from core.diffusion.evaluators.base import RunEvaluator
from core.diffusion.likelihood import (
    exact_trace,
    hutchinson_trace,
    log_density,
    log_share_of_level,
    normal_log_density,
)
from core.diffusion.noise import Purpose, SampleNoise
from core.diffusion.sampling import bind
from core.runs.sample_values import save_values
from core.utils.meters import Meter
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, Scalar

NOISE_SEED = 0
IMAGES_PER_BATCH = 250
N_PROBES = 4


class LikelihoodEvaluator(RunEvaluator):
    """Bits per dimension of held-out images through the probability-flow ODE.

    Quantised images are given Gaussian noise of a quarter of their levels' distance, and the bound on their discrete
    likelihood is reported; of other data the density, at noise level sigma_min, in the units of the scaled data. The
    trace is exact up to ``exact_trace_up_to`` values, else Hutchinson's, whose own error is reported beside. Noise and
    probes are fixed per image, whatever the run's seed. The unit is the image.

    Attributes:
        n_images: At most so many held-out images, evenly spaced, are taken.
        n_ode_steps: Runge-Kutta steps.
    """

    n_images: ClassVar[int] = 500
    n_ode_steps: ClassVar[int] = 40

    def evaluate(self) -> ResultCollection:
        """Return "bits_per_dim"; "bits_per_dim/trace_error" and "likelihood_gap" where there is such a thing."""
        denoiser, data = self.denoiser(), load_data(self.config, HELD_OUT)
        batches, n = Batches(data, self.device()), min(len(data), self.n_images)
        chosen = torch.arange(n) * len(data) // n
        found: list[_Found] = []
        for indices in torch.split(chosen, IMAGES_PER_BATCH):
            images, labels = batches.take(indices)
            found.append(self._log_likelihoods(bind(denoiser, labels), images, indices.tolist(), _n_levels(data)))
            self.settings.progress(sum(len(part.nats) for part in found), n, "likelihood of held-out images")
        nats, trace_error = (torch.cat(parts) for parts in zip(*found, strict=True))
        return ResultCollection(self._records(data, chosen, nats, trace_error))

    def _log_likelihoods(
        self, denoise: Callable[[Tensor, float], Tensor], images: Tensor, indices: list[int], n_levels: int
    ) -> _Found:
        """Return each image's log-likelihood, averaged over the probes, and the standard error of that average."""
        x, sigma = images.double(), self.config.sigma_min
        correction = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        if n_levels:
            sigma = _dequantisation_sigma(n_levels)
            noise = sigma * SampleNoise(NOISE_SEED, Purpose.DEQUANTISATION, indices).draw(tuple(x.shape[1:])).to(x)
            correction = log_share_of_level(x + noise, x, sigma, n_levels) - normal_log_density(noise, sigma)
            x = x + noise
        trace = exact_trace if self._is_exact(x[0].numel()) else hutchinson_trace(_probes(indices, x))
        nats, _ = log_density(denoise, x, trace, sigma, self.config.sigma_max, self.n_ode_steps)
        spread = nats.std(0) / math.sqrt(len(nats)) if len(nats) > 1 else torch.zeros_like(correction)
        return _Found((nats.mean(0) + correction).cpu(), spread.cpu())

    def _records(self, data: ImageData, chosen: Tensor, nats: Tensor, trace_error: Tensor) -> list[ResultRecord]:
        d, protocol = math.prod(data.data_shape), self._protocol(data, len(chosen))
        to_bits = 1 / (d * math.log(2))
        meter = Meter("bits", "trace_error", "gap")
        meter.update(bits=-nats * to_bits, trace_error=trace_error * to_bits)
        about = self._metadata("bits_per_dim", protocol)
        save_values(
            self.run_path, self.settings.evaluation, "likelihood", chosen.tolist(), (-nats * to_bits).numpy(), about
        )
        records = [ResultRecord(about, meter.result("bits"))]
        if not self._is_exact(d):
            records.append(
                ResultRecord(self._metadata("bits_per_dim/trace_error", protocol), meter.result("trace_error"))
            )
        truth = getattr(data, "log_density", None)
        if truth is not None:
            x = Batches(data, torch.device("cpu")).take(chosen)[0]
            meter.update(gap=truth(x) - nats)
            records.append(ResultRecord(self._metadata("likelihood_gap", protocol), meter.result("gap")))
        return records

    def _is_exact(self, d: int) -> bool:
        return d <= self.config.exact_trace_up_to

    def _metadata(self, name: str, protocol: dict[str, Scalar]) -> ResultMetadata:
        return self.metadata(name, unit="image", protocol=protocol, higher_is_better=False)

    def _protocol(self, data: ImageData, n_images: int) -> dict[str, Scalar]:
        n_levels, exact = _n_levels(data), self._is_exact(math.prod(data.data_shape))
        noise = f"gaussian of sigma {_dequantisation_sigma(n_levels):.4g}, {n_levels} levels" if n_levels else "none"
        return {
            "dataset": self.data_name(),
            "split": HELD_OUT,
            "split_seed": self.config.split_seed,
            "n_images": n_images,
            "dequantisation": noise,
            "scaling": "[-1, 1]",
            "trace": "exact" if exact else f"hutchinson, {N_PROBES} probes",
            "ode": f"rk4, {self.n_ode_steps} steps in ln(sigma)",
            "sigma_max": self.config.sigma_max,
            "noise_seed": NOISE_SEED,
        }


class _Found(NamedTuple):
    nats: Tensor
    trace_error: Tensor


def _n_levels(data: ImageData) -> int:
    """Return how many values a pixel can take, evenly from -1 to 1; 0 for data that are not quantised."""
    return int(getattr(data, "n_levels", 0))


def _dequantisation_sigma(n_levels: int) -> float:
    return 2 / (n_levels - 1) / 4


def _probes(indices: list[int], x: Tensor) -> Tensor:
    """Return random signs, fixed per image, shape ``(N_PROBES, n, *data_shape)``."""
    noises = SampleNoise(NOISE_SEED, Purpose.PROBES, indices)
    return torch.stack([noises.draw(tuple(x.shape[1:])).sign() for _ in range(N_PROBES)]).to(x)
