"""Time ``import mlruns``: 1,000 runs of MLflow's file store, as a whole process, and importing again.

    python benchmarks/mlruns.py
    python benchmarks/mlruns.py --runs 5000

Each run has 12 parameters, 6 metrics of 50 steps and 6 tags, in the files that MLflow 3 writes. The aim is 5 s at most
for 1,000 runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
N_STEPS, N_PARAMETERS, N_METRICS = 50, 12, 6
START_MS = 1_700_000_000_000


def make_store(store: Path, n_runs: int) -> None:
    """Write a store with one experiment."""
    (store / "1").mkdir(parents=True)
    (store / "1" / "meta.yaml").write_text("experiment_id: '1'\nlifecycle_stage: active\nname: rates\n")
    for i in range(n_runs):
        run, start_ms = store / "1" / f"{i:032x}", START_MS + 1000 * i
        for part in ("params", "metrics", "tags"):
            (run / part).mkdir(parents=True)
        (run / "meta.yaml").write_text(
            f"artifact_uri: file:///home/user/mlruns/1/{i:032x}/artifacts\nend_time: {start_ms + 60_000}\n"
            f"entry_point_name: ''\nexperiment_id: '1'\nlifecycle_stage: active\nrun_id: '{i:032x}'\n"
            f"run_name: rate-{i}\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: {start_ms}\n"
            "status: 3\ntags: []\nuser_id: user\n"
        )
        parameters = {"learning_rate": repr(0.001 * (1 + i // 5)), "seed": str(i % 5)}
        parameters |= {f"parameter_{j}": str(j) for j in range(N_PARAMETERS - 2)}
        for name, text in parameters.items():
            (run / "params" / name).write_text(text)
        for j in range(N_METRICS):
            lines = (f"{start_ms + 1000 * step} {1 / (step + 1 + j + i % 7)!r} {step}\n" for step in range(N_STEPS))
            (run / "metrics" / f"metric_{j}").write_text("".join(lines))
        for name in ("user", "source.name", "source.type", "runName", "source.git.commit", "source.git.branch"):
            (run / "tags" / f"mlflow.{name}").write_text("main")


def timed(store: Path, experiments: Path) -> tuple[float, str]:
    """Return the seconds that the command takes, from its start to its end, and what it printed."""
    command = [sys.executable, "-m", "core", "import", "mlruns", str(store), "--experiments-dir", str(experiments)]
    start_s = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ})
    return time.perf_counter() - start_s, done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    n_runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as directory:
        store, experiments = Path(directory) / "mlruns", Path(directory) / "experiments"
        make_store(store, n_runs)
        for what in ("import", "import again"):
            elapsed_s, said = timed(store, experiments)
            print(f"{what:<14}{n_runs:>7,} runs  {elapsed_s:6.2f} s   {said.split(' into ')[0]}")


if __name__ == "__main__":
    main()
