"""Evaluate one run in 1, 2, 3, 5 and 8 shards and by torchrun in 1, 2 and 4 processes, and compare the results.

The first table is made from values that are the same in every process: its records must be equal to the byte. The
second is made from the run's own model, whose float32 kernels depend on the number of images in a batch.

Usage: python benchmarks/shards.py [--docs]        --docs writes the tables into docs/scale.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from core.diffusion.eval import Evaluator
from core.diffusion.evaluators.base import Values
from core.diffusion.evaluators.denoising import LEVELS, DenoisingEvaluator
from core.diffusion.models.configs import MLPConfig
from core.diffusion.sharding import ShardedEvaluation
from core.diffusion.train import train_diffusion_model
from core.plugins import saved_config

ROOT = Path(__file__).parents[1]
N_SHARDS, N_RANKS, N_SAMPLES = (1, 2, 3, 5, 8), (1, 2, 4), 499
MARK = re.compile(r"<!-- shards -->.*?(?=\n##|\Z)", re.DOTALL)
NAMES = ("denoising_loss", "nearest_distance", "frechet_distance")
EVALUATORS = ("denoising", "nearest", "sampling")


COLUMNS = ("loss", *(f"sigma_{level:g}" for level in LEVELS))
GIVEN = np.random.RandomState(0).lognormal(sigma=3, size=(N_SAMPLES, len(COLUMNS)))  # ten orders of magnitude


def given_values(_evaluator: DenoisingEvaluator, ids: Sequence[int]) -> Values:
    """Return values that are the same in every process."""
    return dict(zip(COLUMNS, GIVEN[np.array(ids)].T, strict=True))


def records(run_path: Path) -> dict[str, dict[str, Any]]:
    """Return the newest record of each result by its name, without its time and evaluation."""
    lines = map(json.loads, (run_path / "results.jsonl").read_text().splitlines())
    found = {line["metadata"]["name"]: line for line in lines if "metadata" in line and line["evaluation"] != "train"}
    dropped = ("logged_at", "evaluation")
    return {
        name: {key: line[key] for key in line if key not in dropped}
        for name, line in found.items()
        if not name.startswith("time/")
    }


def digest(found: dict[str, dict[str, Any]]) -> str:
    """Return the first digits of a hash of records."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]


def in_shards(run_path: Path, n_shards: int, evaluators: Sequence[str]) -> float:
    """Evaluate in shards, one after the other in a random order; return the time in seconds."""
    start_s = time.perf_counter()
    for index in np.random.RandomState(n_shards).permutation(n_shards) + 1:
        evaluator = Evaluator(saved_config(run_path), run_path, evaluators=evaluators, device="cpu")
        sharded = ShardedEvaluation(evaluator)
        sharded.measure(int(index), n_shards)
        sharded.merge_if_complete(n_shards)
    return time.perf_counter() - start_s


def by_torchrun(run_path: Path, n_ranks: int) -> float:
    """Evaluate with torchrun; return the time in seconds."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={n_ranks}", "-m", "core", "eval"]
    options = [part for name in EVALUATORS for part in ("--evaluator", name)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start_s = time.perf_counter()
    subprocess.run([*torchrun, str(run_path), *options], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start_s


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/scale.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        text = tables(Path(directory))
    print(text)
    if arguments.docs:
        page = ROOT / "docs/scale.md"
        page.write_text(MARK.sub(lambda _: f"<!-- shards -->\n\n{text}\n", page.read_text(), count=1))


def tables(directory: Path) -> str:
    """Return the two tables as Markdown."""
    trained = directory / "trained"
    train_diffusion_model(MLPConfig(model="mlp", n_epochs=20, n_samples=500), trained, device="cpu")
    rows = [f"| processes | records of {N_SAMPLES} given values |", "|---|---|"]
    with mock.patch.multiple(DenoisingEvaluator, sample_ids=lambda _: range(N_SAMPLES), measure=given_values):
        for n in N_SHARDS:
            path = Path(shutil.copytree(trained, directory / f"fixed-{n}"))
            in_shards(path, n, ["denoising"])
            rows.append(f"| {n} shards | sha256 {digest(records(path))} |")
    rows += ["", f"| processes | {' | '.join(f'`{name}`' for name in NAMES)} |", "|---|" + "---|" * len(NAMES)]
    for what, counts in (("shards", N_SHARDS), ("ranks", N_RANKS)):
        for n in counts:
            path = Path(shutil.copytree(trained, directory / f"{what}-{n}"))
            if what == "shards":
                in_shards(path, n, EVALUATORS)
            else:
                by_torchrun(path, n)
            found = records(path)
            means = [f"{found[name]['result']['mean']:.10f}" for name in NAMES]
            rows.append(f"| {n} {what} | {' | '.join(means)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
