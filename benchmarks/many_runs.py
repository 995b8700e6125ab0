"""Time listing, grouping, tabulating and comparing of many runs, next to plain reading and the search of MLflow.

    python benchmarks/many_runs.py                                # 10,000 runs with 10 results each
    python benchmarks/many_runs.py --directory runs --keep        # keep the directory and use it again
    python benchmarks/many_runs.py --mlflow-python .mlflow/bin/python   # compare with MLflow in its own environment

Each measurement is a complete process, from its start to the last byte of its output. The commands are interleaved, and
the table shows medians. The library keeps no cache of runs. The directory has the files that ``pyml-train`` and
``pyml-eval`` write, for seeds 0 to 4 of 2,000 configs. Checkpoints and curves are left out, because these commands
never open them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

from core.config import ModelConfig
from core.runs.config_file import CONFIG
from core.runs.environment import ENVIRONMENT, describe_environment
from core.runs.evaluations import EVALUATION_SCHEMA
from core.runs.result_log import RESULT_SCHEMA
from core.runs.serialise import unstructure
from core.runs.status import STATUS
from core.runs.strict_json import dumps
from core.utils.results import ResultMetadata, ResultRecord, ScalarResult

ROOT = Path(__file__).parents[1]
LEVELS = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
A = "learning_rate=0.001, batch_size=32"
B = "learning_rate=0.0003, batch_size=32"


def measures() -> list[ResultMetadata]:
    protocol = {"dataset": "digits", "split": "held_out", "split_seed": 0, "n_images": 359, "n_draws": 4}
    names = ["denoising_loss", *(f"denoising_loss/sigma_{level:g}" for level in LEVELS)]
    found = [ResultMetadata(name, unit="image", protocol=protocol, higher_is_better=False) for name in names]
    found += [
        ResultMetadata("frechet_distance", 18, 500, "group of samples", {**protocol, "space": "pca32"}, False),
        ResultMetadata("time/train", unit="epoch", protocol={"device": "cpu"}, higher_is_better=False),
        ResultMetadata("time/evaluate", unit="evaluation", protocol={"device": "cpu"}, higher_is_better=False),
    ]
    return found


def make_runs(directory: Path, n_runs: int) -> None:
    """Write the runs in the format of core, but without an fsync for each file."""
    rng = random.Random(0)
    about = measures()
    described = describe_environment(device="cpu", started_at="2026-01-01T00:00:00+00:00")
    environment = dumps({"schema": ENVIRONMENT.schema, **described}, indent=2) + "\n"
    plugins = {
        "model": {"name": "mlp", "distribution": "pyml-core", "version": "0.1.0"},
        "dataset": {"name": "digits", "distribution": "pyml-core", "version": "0.1.0"},
    }
    for i in range(n_runs):
        started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=i)
        path = directory / f"{started:%Y%m%dT%H%M%S%fZ}_{i:06x}"
        path.mkdir(parents=True)
        rate, batch_size = (1e-3, 3e-4, 1e-4, 3e-5)[i // 5 % 4], 32 + i // 20
        config = ModelConfig(model="mlp", seed=i % 5, learning_rate=rate, batch_size=batch_size)
        write(path / "config.json", {"schema": CONFIG.schema, "config": attrs.asdict(config), "plugins": plugins})
        at = "2026-01-01T00:00:00.000000+00:00"
        status = {"state": "finished", "reason": None, "host": "node1", "pid": 1, "step": 3600, "n_steps_total": 3600}
        write(
            path / "status.json",
            {"schema": STATUS.schema, **status, "started_at": at, "heartbeat_at": at, "finished_at": at},
        )
        (path / "environment.json").write_text(environment)
        lines = []
        for metadata in about:
            result = ScalarResult(rng.lognormvariate(-1, 0.1), rng.uniform(0.001, 0.01), 359)
            row = {"schema": RESULT_SCHEMA, "evaluation": "eval-0001", **unstructure(ResultRecord(metadata, result))}
            lines.append(row)
        end = {"evaluation": "eval-0001", "state": "finished", "n_records": len(about), "finished_at": at}
        lines.append({"schema": EVALUATION_SCHEMA, **end})
        (path / "results.jsonl").write_text("".join(f"{dumps(line)}\n" for line in lines))


def write(path: Path, content: object) -> None:
    path.write_text(dumps(content, indent=2) + "\n")


PLAIN = """
import json, os, sys
for entry in os.scandir(sys.argv[1]):
    for name in ("config.json", "status.json"):
        with open(f"{entry.path}/{name}", "rb") as file:
            json.loads(file.read())
    with open(f"{entry.path}/results.jsonl", "rb") as file:
        for line in file:
            if line.strip():
                json.loads(line)
"""

FILL_MLFLOW = """
import json, os, sys
import mlflow
from mlflow.entities import Metric, Param
directory, store = sys.argv[1:]
mlflow.set_tracking_uri(store)
client = mlflow.MlflowClient()
experiment = client.create_experiment("many")
for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
    config = json.load(open(f"{entry.path}/config.json"))["config"]
    lines = [json.loads(line) for line in open(f"{entry.path}/results.jsonl") if line.strip()]
    run = client.create_run(experiment, run_name=entry.name)
    metrics = [Metric(line["metadata"]["name"], line["result"]["mean"], 0, 0) for line in lines if "result" in line]
    client.log_batch(run.info.run_id, metrics, [Param(name, str(value)) for name, value in config.items()])
    client.set_terminated(run.info.run_id)
"""

SEARCH_MLFLOW = """
import sys
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
frame = mlflow.search_runs(experiment_names=["many"], max_results=100_000)
print(frame.to_string(max_cols=8, max_rows=20), len(frame))
"""


def run_once(command: list[str]) -> tuple[float, float]:
    """Run a process to its end; return its wall time in s and its peak resident set size in MB."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, cwd=ROOT)
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall_time_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}\n{errors.decode()}")
    return wall_time_s, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure(commands: dict[str, list[str]], repeats: int) -> dict[str, dict[str, float]]:
    """Run all commands in turn, ``repeats`` times, and return the medians."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            found[name].append(run_once(command))
    return {
        name: {
            "wall_time_s": statistics.median(seconds for seconds, _ in runs),
            "fastest_s": min(seconds for seconds, _ in runs),
            "peak_mem_mb": max(mb for _, mb in runs),
        }
        for name, runs in found.items()
    }


def commands_for(directory: Path) -> dict[str, list[str]]:
    here = ["--experiments-dir", str(directory)]
    core = [sys.executable, "-m", "core"]
    return {
        "plain reading (floor)": [sys.executable, "-c", PLAIN, str(directory)],
        "runs": [*core, "runs", *here],
        "runs --where": [*core, "runs", "--where", "learning_rate<2e-4", "--sort", "denoising_loss", *here],
        "table (grouping)": [*core, "table", *here],
        "compare": [*core, "compare", A, B, *here],
    }


def main() -> None:
    """Create the runs, time the commands, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="directory for the runs; runs that it already holds are used")
    parser.add_argument("--keep", action="store_true", help="do not delete the runs afterwards")
    parser.add_argument(
        "--mlflow-python", help="Python interpreter with MLflow, whose search is timed on the same runs"
    )
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    directory = options.directory or Path(tempfile.mkdtemp(prefix="pyml-many-runs-"))
    try:
        found = compare_sizes(directory, options)
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def compare_sizes(directory: Path, options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Time a quarter of the runs and all of them: without the start-up time, the ratio should be four."""
    found = {}
    for n_runs in (options.runs // 4, options.runs):
        runs = directory / str(n_runs)
        if not runs.exists():
            make_runs(runs, n_runs)
        commands = commands_for(runs)
        if options.mlflow_python and n_runs == options.runs:
            commands["MLflow search_runs"] = mlflow_search(options.mlflow_python, runs, directory)
        found[f"{n_runs}"] = measure(commands, options.repeats)
        print(f"\n{n_runs:,} runs with {len(measures())} results each (medians of {options.repeats})")
        for name, numbers in found[f"{n_runs}"].items():
            print(f"  {name:<24} {numbers['wall_time_s']:7.2f} s  {numbers['peak_mem_mb']:7.0f} MB")
    small, large = found.values()
    print("\nGrowth from a quarter of the runs to all of them (4 is linear)")
    for name in small:
        growth = large[name]["wall_time_s"] / small[name]["wall_time_s"]
        print(f"  {name:<24} {growth:7.2f}" if math.isfinite(growth) else f"  {name}: unknown")
    return found


def mlflow_search(python: str, runs: Path, directory: Path) -> list[str]:
    """Return the command that searches MLflow's SQLite store; fill the store with the same runs if necessary."""
    store = f"sqlite:///{directory}/mlflow-{runs.name}.db"
    if not (directory / f"mlflow-{runs.name}.db").exists():
        started = time.perf_counter()
        subprocess.run([python, "-c", FILL_MLFLOW, str(runs), store], check=True, cwd=directory)
        print(f"filling MLflow's store took {time.perf_counter() - started:.0f} s")
    return [python, "-c", SEARCH_MLFLOW, store]


if __name__ == "__main__":
    main()
