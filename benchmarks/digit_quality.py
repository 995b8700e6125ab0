"""Measure how confidently a classifier trained on the real digits classifies the samples of a run.

Usage: python benchmarks/digit_quality.py RUN_DIRECTORY

The classifier uses the 10 nearest neighbours among all 1,797 real images. It classifies 1,000 samples, which are drawn
with the sampler settings of the run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from core import plugins
from core.diffusion.sampling import generate
from core.diffusion.trained import load_denoiser

N_SAMPLES = 1000


def main(run_path: Path) -> None:
    config = plugins.saved_config(run_path)
    denoiser = load_denoiser(run_path, config, torch.device("cpu"))
    batches = generate(denoiser, config, N_SAMPLES, torch.device("cpu"))
    samples = torch.cat([batch.images for batch in batches]).clamp(-1, 1).flatten(1).numpy()
    real = load_digits()
    classifier = KNeighborsClassifier(n_neighbors=10).fit(real.data / 8 - 1, real.target)
    probability = classifier.predict_proba(samples)
    asked_for = np.arange(N_SAMPLES) % config.n_classes if config.n_classes else None
    print(f"the classifier is at least 90% sure of {np.mean(probability.max(1) >= 0.9):.1%} of {N_SAMPLES:,} samples")
    if asked_for is not None:
        print(f"it assigns {np.mean(probability.argmax(1) == asked_for):.1%} to the class that was requested")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
