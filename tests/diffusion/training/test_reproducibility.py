"""Two runs with one seed on one machine are equal byte for byte, but for times."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TRAIN_AND_EVALUATE = """
import json, sys
from core.cli import group
for command in map(json.loads, sys.argv[1:]):
    group.main(command, standalone_mode=False)
"""
TINY = ["--model", "mlp", "--n-epochs", "2", "--hidden-layer-sizes", "8", "--batch-size", "500", "--n-samples", "20"]
OF_THE_PROCESS = {"environment.json", "status.json"}


def run(directory: Path, hash_seed: int) -> Path:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": "1"}
    evaluate = ["eval", "latest", "--evaluator", "denoising", "--evaluator", "sampling"]
    commands = [json.dumps([*command, "--experiments-dir", str(directory)]) for command in (["train", *TINY], evaluate)]
    arguments = [sys.executable, "-c", TRAIN_AND_EVALUATE, *commands]
    subprocess.run(arguments, check=True, capture_output=True, env=environment)
    (run_path,) = directory.iterdir()
    return run_path


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if not key.endswith(("_s", "_at"))}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def content(run_path: Path) -> dict[str, Any]:
    """Return every file of a run: JSON lines without times, all else to the byte."""
    files: dict[str, Any] = {}
    for path in sorted(run_path.rglob("*")):
        if not path.is_file() or path.name in OF_THE_PROCESS:
            continue
        name = str(path.relative_to(run_path))
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines() if line]
            timed = [row for row in rows if str(row.get("metadata", {}).get("name", "")).startswith("time/")]
            files[name] = [json.dumps(without_times(row)) for row in rows if row not in timed]
        else:
            files[name] = path.read_bytes()
    return files


def test_two_processes_with_one_seed_leave_the_same_bytes(tmp_path: Path) -> None:
    first, second = (content(run(tmp_path / str(seed), seed)) for seed in (1, 2))
    assert sorted(first) == sorted(second)
    assert {"config.json", "metrics.jsonl", "results.jsonl", "checkpoints/last.pt"} < set(first)
    different = [name for name in first if first[name] != second[name]]
    assert not different
