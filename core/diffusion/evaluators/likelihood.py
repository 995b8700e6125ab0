"""The likelihood of held-out images under the model, in bits per dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from core.diffusion.datasets.base import HELD_OUT, Batches, ImageData
from core.diffusion.evaluators.base import PerSample, Values, conditional
from core.diffusion.likelihood import (
    exact_trace,
    hutchinson_trace,
    log_density,
    log_share_of_level,
    normal_log_density,
)
from core.diffusion.model import Denoiser
from core.diffusion.noise import Purpose, SampleNoise
from core.diffusion.sampling import bind
from core.runs.sample_values import save_values
from core.utils.meters import Meter
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, Scalar, ScalarResult

NOISE_SEED = 0
IMAGES_PER_BATCH = 250
N_PROBES = 4
ROUGH_STEPS = 10
MARGIN_NATS = 15.0


class LikelihoodEvaluator(PerSample):
    """Bits per dimension of held-out images from the probability-flow ODE.

    Of a class-conditional model, both densities are reported: log p(x | label), given the image's true label, and
    log p(x) = log of the mean of p(x | label) over all labels with equal weights. Only log p(x) can be compared with
    a model that does not use labels.

    Quantised images get Gaussian noise with a standard deviation of a quarter of the distance between levels, and the
    bound on their discrete likelihood is reported. For other data it is the density at noise level sigma_min, in the
    units of the scaled data. The trace is exact for up to ``exact_trace_up_to`` values per image; beyond, Hutchinson's
    estimator is used, and its own error is reported. Noise and probes are fixed per image, whatever the run's seed.
    The unit of replication is the image.

    Attributes:
        n_images: Maximum number of held-out images; they are evenly spaced.
        n_ode_steps: Runge-Kutta steps.
    """

    n_images: ClassVar[int] = 500
    n_ode_steps: ClassVar[int] = 40

    def prepare(self) -> None:
        """Import also what torch imports at its first gradient of a vector: SymPy, among other things."""
        super().prepare()
        x = torch.zeros(1, requires_grad=True)
        torch.autograd.grad(2 * x, x, torch.ones(1))

    def sample_ids(self) -> list[int]:
        """Return the indices of the held-out images that are taken."""
        n_in_all = len(self.data(HELD_OUT))
        n = min(n_in_all, self.n_images)
        return (torch.arange(n) * n_in_all // n).tolist()

    def measure(self, ids: Sequence[int]) -> Values:
        """Return "given_label", "marginal" and "trace_error" of these images, in nats."""
        denoiser, data = self.denoiser(), self.data(HELD_OUT)
        batches, found = Batches(data, self.device()), []
        for indices in torch.split(torch.as_tensor(ids), IMAGES_PER_BATCH):
            found.append(self._nats(denoiser, *batches.take(indices), indices, _n_levels(data)))
            done = sum(len(part.given_label) for part in found)
            self.settings.progress(done, len(ids), "likelihood of held-out images")
        nats = _Nats(*(torch.cat(parts) for parts in zip(*found, strict=True)))
        return {name: values.numpy() for name, values in nats._asdict().items()}

    def results(self, values: Values) -> ResultCollection:
        """Return "bits_per_dim" and, if they apply, "bits_per_dim/given_label", ".../trace_error", "likelihood_gap"."""
        nats = _Nats(**{name: torch.from_numpy(array) for name, array in values.items()})
        return ResultCollection(
            self._records(self.denoiser(), self.data(HELD_OUT), torch.tensor(self.sample_ids()), nats)
        )

    def _nats(self, denoiser: Denoiser, images: Tensor, labels: Tensor | None, indices: Tensor, n_levels: int) -> _Nats:
        """Return the log-likelihoods of a batch.

        Args:
            denoiser: The model.
            images: Shape ``(n, *data_shape)``.
            labels: int64, shape ``(n,)``, or None.
            indices: The images' indices in the data set, int64, shape ``(n,)``.
            n_levels: See ``_n_levels``.
        """
        density = _Density(self, denoiser, images, indices, n_levels)
        given_label, trace_error = density.full(labels)
        if labels is None or not denoiser.class_conditional:
            return _Nats(given_label, given_label, trace_error)
        return _Nats(given_label, _over_labels(density, given_label, labels, denoiser.n_classes), trace_error)

    def _records(self, denoiser: Denoiser, data: ImageData, chosen: Tensor, nats: _Nats) -> list[ResultRecord]:
        given = conditional(denoiser)
        records = [self._bits("bits_per_dim", "likelihood", "none", data, chosen, nats.marginal)]
        if denoiser.class_conditional:
            name = "bits_per_dim/given_label"
            records.append(self._bits(name, "likelihood_given_label", given, data, chosen, nats.given_label))
        if not self.is_exact(math.prod(data.data_shape)):
            error = _root_mean_square(nats.trace_error * _bits_per_nat(data))
            about = self._metadata(f"{records[-1].metadata.name}/trace_error", data, len(chosen), given, role="part")
            records.append(ResultRecord(about, error))
        truth = getattr(data, "log_density", None)
        if truth is not None:
            x = Batches(data, torch.device("cpu")).take(chosen)[0]
            meter = Meter("gap")
            meter.update(gap=truth(x) - nats.marginal)
            about = self._metadata("likelihood_gap", data, len(chosen), "none")
            records.append(ResultRecord(about, meter.result("gap")))
        return records

    def _bits(self, name: str, file: str, given: str, data: ImageData, chosen: Tensor, nats: Tensor) -> ResultRecord:
        """Return the mean bits per dimension, and keep the value of each image.

        Args:
            name: Name of the result.
            file: Name of the file of values.
            given: What the density is conditional on: "label" or "none".
            data: The held-out data.
            chosen: Indices of the images, int64, shape ``(n,)``.
            nats: Their log-likelihoods, shape ``(n,)``.
        """
        bits, meter = -nats * _bits_per_nat(data), Meter("bits")
        meter.update(bits=bits)
        about = self._metadata(name, data, len(chosen), given)
        save_values(self.run_path, self.settings.evaluation, file, chosen.tolist(), bits.numpy(), about)
        return ResultRecord(about, meter.result("bits"))

    def is_exact(self, d: int) -> bool:
        """Return whether the trace is exact for images of ``d`` values."""
        return d <= self.config.exact_trace_up_to

    def _metadata(self, name: str, data: ImageData, n_images: int, given: str, role: str = "primary") -> ResultMetadata:
        n_levels, exact = _n_levels(data), self.is_exact(math.prod(data.data_shape))
        noise = f"gaussian of sigma {_dequantisation_sigma(n_levels):.4g}, {n_levels} levels" if n_levels else "none"
        protocol: dict[str, Scalar] = {
            **self.data_protocol(data),
            "split": HELD_OUT,
            "n_images": n_images,
            "conditional": given,
            "dequantisation": noise,
            "scaling": "[-1, 1]",
            "trace": "exact" if exact else f"hutchinson, {N_PROBES} probes",
            "ode": f"rk4, {self.n_ode_steps} steps in ln(sigma)",
            "sigma_max": self.config.sigma_max,
            "noise_seed": NOISE_SEED,
        }
        if not n_levels:  # the density of data without noise is that of the data blurred by sigma_min
            protocol["sigma_min"] = self.config.sigma_min
        return self.metadata(name, unit="image", protocol=protocol, higher_is_better=False, role=role)


class _Nats(NamedTuple):
    """Log-likelihoods of images in nats, each float64 of shape ``(n,)``.

    Attributes:
        given_label: log p(x | label), or log p(x) of a model that does not use labels.
        marginal: log p(x).
        trace_error: Standard error of ``given_label`` from the probes of the trace; 0 if the trace is exact.
    """

    given_label: Tensor
    marginal: Tensor
    trace_error: Tensor


class _Density:
    """The model's log-density of some images, as a function of the labels."""

    def __init__(
        self, evaluator: LikelihoodEvaluator, denoiser: Denoiser, images: Tensor, indices: Tensor, n_levels: int
    ) -> None:
        self._denoiser = denoiser
        self._n_steps = evaluator.n_ode_steps
        self._sigma_min, self._sigma_max = evaluator.config.sigma_min, evaluator.config.sigma_max
        x = images.double()
        self._correction = torch.zeros(len(x), dtype=x.dtype, device=x.device)  # (n,)
        if n_levels:
            self._sigma_min = sigma = _dequantisation_sigma(n_levels)
            draws = SampleNoise(NOISE_SEED, Purpose.DEQUANTISATION, indices.tolist()).draw(tuple(x.shape[1:]))
            noise = sigma * draws.to(x)
            self._correction = log_share_of_level(x + noise, x, sigma, n_levels) - normal_log_density(noise, sigma)
            x = x + noise
        self._x = x
        self._probes = None if evaluator.is_exact(x[0].numel()) else _probes(indices.tolist(), x)

    def full(self, labels: Tensor | None, where: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return log p(x | labels) and the standard error that the probes leave, both of shape ``(n,)``, on the CPU.

        Args:
            labels: int64, shape ``(n,)``, or None.
            where: Indices of the images to take, int64; None takes all. ``labels`` are those of the images taken.
        """
        nats = self._log_density(labels, where, N_PROBES, self._n_steps)  # (n_probes, n)
        error = nats.std(0) / math.sqrt(len(nats)) if len(nats) > 1 else torch.zeros_like(nats[0])
        return nats.mean(0).cpu(), error.cpu()

    def rough(self, labels: Tensor) -> Tensor:
        """Return log p(x | labels) with one probe and few steps, shape ``(n,)``, on the CPU."""
        return self._log_density(labels, None, 1, ROUGH_STEPS).mean(0).cpu()

    def _log_density(self, labels: Tensor | None, where: Tensor | None, n_probes: int, n_steps: int) -> Tensor:
        taken = slice(None) if where is None else where
        x, correction = self._x[taken], self._correction[taken]
        trace = exact_trace if self._probes is None else hutchinson_trace(self._probes[:n_probes, taken])
        denoise = bind(self._denoiser, labels)
        nats, _ = log_density(denoise, x, trace, self._sigma_min, self._sigma_max, n_steps)
        return nats + correction


def _over_labels(density: _Density, given_label: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return log p(x), the log of the mean of p(x | label) over all labels, shape ``(n,)``, on the CPU.

    A label whose density is more than ``MARGIN_NATS`` below the largest in a rough pass adds less than 1e-6 nats and is
    left out: for most images one label or two remain, which saves most of the time.

    Args:
        density: The log-density of the images.
        given_label: log p(x | true label), shape ``(n,)``.
        labels: The true labels, int64, shape ``(n,)``.
        n_classes: Number of labels.
    """
    every = [torch.full_like(labels, label) for label in range(n_classes)]
    rough = torch.stack([density.rough(label) for label in every], 1)  # (n, n_classes)
    matters = rough > rough.amax(1, keepdim=True) - MARGIN_NATS
    nats = torch.full_like(rough, -math.inf)
    true = labels.cpu()
    matters[torch.arange(len(nats)), true] = False  # it is known already
    for pairs in torch.split(matters.nonzero(), IMAGES_PER_BATCH):  # (n_pairs, 2): image and label
        images, others = pairs.to(labels.device).unbind(1)
        nats[pairs[:, 0], pairs[:, 1]] = density.full(others, images)[0]
    nats[torch.arange(len(nats)), true] = given_label
    return torch.logsumexp(nats, dim=1) - math.log(n_classes)


def _root_mean_square(errors: Tensor) -> ScalarResult:
    """Return the root mean square of standard errors, with its own standard error by the delta method.

    Their plain mean would be too small, by 8% for four probes: a standard deviation of few values is biased low, its
    square is not.
    """
    meter = Meter("square")
    meter.update(square=errors.square())
    square = meter.result("square")
    root = math.sqrt(square.mean)
    return ScalarResult(root, square.error / (2 * root) if root else math.nan, square.n)


def _bits_per_nat(data: ImageData) -> float:
    """Return the factor from nats per image to bits per dimension."""
    return 1 / (math.prod(data.data_shape) * math.log(2))


def _n_levels(data: ImageData) -> int:
    """Return how many values a pixel can take, evenly spaced from -1 to 1; 0 for data that are not quantised."""
    return int(getattr(data, "n_levels", 0))


def _dequantisation_sigma(n_levels: int) -> float:
    return 2 / (n_levels - 1) / 4


def _probes(indices: list[int], x: Tensor) -> Tensor:
    """Return random signs, fixed per image, shape ``(N_PROBES, n, *data_shape)``."""
    noises = SampleNoise(NOISE_SEED, Purpose.PROBES, indices)
    return torch.stack([noises.draw(tuple(x.shape[1:])).sign() for _ in range(N_PROBES)]).to(x)
