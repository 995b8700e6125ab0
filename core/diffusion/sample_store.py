"""A run's samples, made once for each setting, kept in parts on disk and shared by evaluators and ``pyml-sample``."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.model import Denoiser
from core.diffusion.sampling import generate, sampler_protocol
from core.runs.files import read_file, write_atomic, write_json
from core.runs.limits import MOST_SAMPLES_BYTES
from core.runs.open_file import directory_inside
from core.utils.progress import Progress, silent

SAMPLES = "samples"
SAMPLES_PER_PART = 1000
PART = re.compile(r"\d{8,18}\.npy", re.ASCII)
DIGEST_BYTES = 32


class SampleStore:
    """The samples of one checkpoint, kind of weights, sampler and seed, in ``samples/<setting>/`` of the run.

    A part holds up to 1,000 consecutive samples and is written whole or not at all. Sampling that was stopped continues
    after its last batch, or, if the process was killed, after the last part. Several processes may each make a range of
    samples. A damaged part is made again. The directory may be deleted at any time.

    Args:
        run_path: The run directory.
        config: The config with the sampler's settings and the seed.
        digest: Digest of the checkpoint file.
        weights: "ema" or "raw".
        device: Device that the samples are made on; another kind of device gives other last bits.
        ema_half_life_images: Which moving average, by its half-life in training images; None for the first one.
    """

    def __init__(
        self,
        run_path: Path,
        config: ModelConfig,
        digest: str,
        weights: str,
        device: torch.device,
        ema_half_life_images: int | None = None,
    ) -> None:
        self._config, self._device = config, device
        self._known: dict[Path, int] = {}  # number of samples in each part whose checksum has been verified
        self.setting = {
            "checkpoint": digest,
            "weights": weights,
            **({} if ema_half_life_images is None else {"ema_half_life_images": ema_half_life_images}),
            "n_steps": config.n_steps,
            "seed": config.seed,
            **sampler_protocol(config),
            "device": device.type,
        }
        key = hashlib.sha256(json.dumps(self.setting, sort_keys=True).encode()).hexdigest()[:12]
        self._run_path, self.path = run_path, run_path / SAMPLES / f"{config.n_steps}-steps-seed-{config.seed}-{key}"

    def samples(self, denoiser: Denoiser, n_samples: int, progress: Progress = silent) -> Tensor:
        """Return the first samples, float32 of shape ``(n_samples, *data_shape)`` on the CPU; make those missing.

        Args:
            denoiser: The model of the checkpoint, on the store's device.
            n_samples: Their number.
            progress: Called after every batch.
        """
        wanted = range(n_samples)
        self.make(denoiser, wanted, progress)
        pieces = [self._read_part(self._part(first))[cut] for first, cut in self._pieces(wanted)]
        return torch.from_numpy(np.concatenate(pieces))

    def make(self, denoiser: Denoiser, wanted: range, progress: Progress = silent) -> None:
        """Make those of the wanted samples that are missing.

        Args:
            denoiser: The model of the checkpoint, on the store's device.
            wanted: Indices of consecutive samples.
            progress: Called after every batch.
        """
        done = self.count(wanted)
        for gap in self._gaps(wanted):
            self._make_part(denoiser, gap, done, len(wanted), progress)
            done += len(gap)

    def count(self, wanted: range) -> int:
        """Return how many of the wanted samples exist."""
        return sum(cut.stop - cut.start for _, cut in self._pieces(wanted))

    def _make_part(self, denoiser: Denoiser, indices: range, done: int, in_all: int, progress: Progress) -> None:
        """Make and write a part. If sampling is stopped, the batches that are done are written as a shorter one."""
        batches, made, n_steps = [], done, self._config.n_steps
        try:
            for batch in generate(denoiser, self._config, indices.stop, self._device, indices.start):
                batches.append(batch.images)
                made += len(batch.images)
                progress(made, in_all, f"sampling in {n_steps} {'step' if n_steps == 1 else 'steps'}")
        finally:
            if batches:
                self._write(indices.start, torch.cat(batches).numpy())

    def _write(self, start: int, images: NDArray[np.float32]) -> None:
        directory_inside(self._run_path, f"{SAMPLES}/{self.path.name}").mkdir(parents=True, exist_ok=True)
        if not (self.path / "setting.json").exists():
            write_json(self.path / "setting.json", self.setting)
        _write_part(self._part(start), images)

    def _part(self, start: int) -> Path:
        return self.path / f"{start:08d}.npy"

    def _lengths(self) -> dict[int, int]:
        """Return the number of samples in each part that can be read, by the index of its first sample."""
        directory = directory_inside(self._run_path, f"{SAMPLES}/{self.path.name}")
        present = {path for path in directory.glob("*.npy") if PART.fullmatch(path.name)}
        for path in present - self._known.keys():
            with contextlib.suppress(OSError, ValueError):  # a damaged part is made again
                self._known[path] = len(self._read_part(path))
        return {int(path.stem): self._known[path] for path in present & self._known.keys()}

    def _pieces(self, wanted: range) -> list[tuple[int, slice]]:
        """Return the parts that hold the wanted samples, in order: first index of the part, and which of it to take."""
        lengths, pieces, place = self._lengths(), [], wanted.start
        for first, length in sorted(lengths.items()):
            start, stop = max(place, first), min(first + length, wanted.stop)
            if start < stop:
                pieces.append((first, slice(start - first, stop - first)))
                place = stop
        return pieces

    def _gaps(self, wanted: range) -> list[range]:
        """Return the ranges of wanted samples that are missing, none longer than a part."""
        gaps, place = [], wanted.start
        for first, cut in [*self._pieces(wanted), (wanted.stop, slice(0, 0))]:
            start = first + cut.start
            gaps += [range(at, min(at + SAMPLES_PER_PART, start)) for at in range(place, start, SAMPLES_PER_PART)]
            place = first + cut.stop
        return gaps

    def _read_part(self, path: Path) -> NDArray[np.float32]:
        """Return the images of a part.

        Raises:
            OSError: It is missing, or not a regular file.
            ValueError: It is damaged. Without a checksum, one flipped bit would be another sample.
        """
        content = memoryview(read_file(str(path), MOST_SAMPLES_BYTES))
        images, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        if hashlib.sha256(images).digest() != digest:
            raise ValueError(f"{path}: its checksum is wrong")
        try:
            loaded = np.load(io.BytesIO(images), allow_pickle=False)
        except (EOFError, MemoryError) as error:  # nothing, or a size that nobody wrote
            raise ValueError(f"{path}: holds no images ({error})") from None
        shape = tuple(self._config.data_shape or ())
        if (
            not isinstance(loaded, np.ndarray)
            or loaded.dtype != np.float32
            or loaded.shape[1:] != shape
            or not loaded.ndim
        ):
            raise ValueError(f"{path}: holds no float32 images of shape {shape}")
        return loaded


def _write_part(path: Path, images: NDArray[np.float32]) -> None:
    """Write a NumPy file, followed by the SHA-256 of its bytes, which NumPy ignores."""
    buffer = io.BytesIO()
    np.save(buffer, images)
    write_atomic(path, buffer.getvalue() + hashlib.sha256(buffer.getbuffer()).digest())
