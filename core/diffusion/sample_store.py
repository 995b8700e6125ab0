"""A run's samples, made once for each setting, kept in parts on disk and shared by everything that looks at them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion.model import Denoiser
from core.diffusion.sampling import generate, sampler_protocol
from core.runs.files import write_atomic, write_json
from core.utils.progress import Progress, silent

SAMPLES_PER_PART = 1000


class SampleStore:
    """The samples of one checkpoint, kind of weights, sampler and seed, in ``samples/<setting>/`` of the run.

    A part holds up to 1,000 consecutive samples and is written whole or not at all: sampling that was stopped goes on
    at the next part, and several processes may each make some of the parts. The directory may be deleted at any time.

    Args:
        run_path: The run directory.
        config: The config with the sampler's settings and the seed.
        digest: Digest of the checkpoint file.
        weights: "ema" or "raw".
        device: Device that the samples are made on; another kind of device gives other last bits.
    """

    def __init__(self, run_path: Path, config: ModelConfig, digest: str, weights: str, device: torch.device) -> None:
        self._config, self._device = config, device
        self.setting = {
            "checkpoint": digest,
            "weights": weights,
            "n_steps": config.n_steps,
            "seed": config.seed,
            **sampler_protocol(config),
            "device": device.type,
        }
        key = hashlib.sha256(json.dumps(self.setting, sort_keys=True).encode()).hexdigest()[:12]
        self.path = run_path / "samples" / f"{config.n_steps}-steps-seed-{config.seed}-{key}"

    def samples(self, denoiser: Denoiser, n_samples: int, progress: Progress = silent) -> Tensor:
        """Return the first samples, float32 of shape ``(n_samples, *data_shape)`` on the CPU; make those missing.

        Args:
            denoiser: The model of the checkpoint, on the store's device.
            n_samples: Their number.
            progress: Called after every batch.
        """
        self.make(denoiser, n_samples, progress)
        parts = [self._read(start, stop) for start, stop in _parts(n_samples)]
        return torch.cat([part for part in parts if part is not None])

    def make(self, denoiser: Denoiser, n_samples: int, progress: Progress = silent, shard: int = 0, of: int = 1) -> int:
        """Make the parts that are missing, or every ``of``-th part from ``shard`` on; return how many samples exist.

        Args:
            denoiser: The model of the checkpoint, on the store's device.
            n_samples: Samples to have in all.
            progress: Called after every batch.
            shard: Which of the parts are this process's: part i is if i mod ``of`` is ``shard``.
            of: Processes that share the work.
        """
        done = 0
        for place, (start, stop) in enumerate(_parts(n_samples)):
            if self._read(start, stop) is None:
                if place % of != shard:
                    continue
                self._make_part(denoiser, range(start, stop), done, n_samples, progress)
            done += stop - start
        return done

    def _make_part(self, denoiser: Denoiser, indices: range, done: int, in_all: int, progress: Progress) -> None:
        batches, made = [], done
        for batch in generate(denoiser, self._config, indices.stop, self._device, indices.start):
            batches.append(batch.images)
            made += len(batch.images)
            progress(made, in_all, f"sampling in {self._config.n_steps} steps")
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "setting.json").exists():
            write_json(self.path / "setting.json", self.setting)
        buffer = io.BytesIO()
        np.save(buffer, torch.cat(batches).numpy())
        write_atomic(self._part(indices.start), buffer.getvalue())

    def _part(self, start: int) -> Path:
        return self.path / f"{start:08d}.npy"

    def _read(self, start: int, stop: int) -> Tensor | None:
        """Return samples ``start`` to ``stop``; None if they are not all there or the file is damaged."""
        try:
            images = np.load(self._part(start), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return torch.from_numpy(images[: stop - start]) if len(images) >= stop - start else None


def _parts(n_samples: int) -> list[tuple[int, int]]:
    return [(start, min(start + SAMPLES_PER_PART, n_samples)) for start in range(0, n_samples, SAMPLES_PER_PART)]
