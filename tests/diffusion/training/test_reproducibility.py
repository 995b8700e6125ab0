"""Two runs with one seed on one machine are equal byte for byte, but for times."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from core.cli import group

IN_A_PROCESS = """
import json, sys
from core.cli import group
for command in json.loads(sys.argv[1]):
    group.main(command, standalone_mode=False)
"""
TINY = ["--model", "mlp", "--n-epochs", "2", "--hidden-layer-sizes", "8", "--batch-size", "500", "--n-samples", "20"]
OF_THE_PROCESS = {"environment.json", "status.json"}


def commands(directory: Path) -> list[list[str]]:
    evaluate = ["eval", "latest", "--evaluator", "denoising", "--evaluator", "sampling"]
    return [[*command, "--experiments-dir", str(directory)] for command in (["train", *TINY], evaluate)]


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if not key.endswith(("_s", "_at"))}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def content(directory: Path) -> dict[str, Any]:
    """Return every file of the one run: JSON lines without times, all else to the byte."""
    (run_path,) = directory.iterdir()
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
    """This one, and one that hashes strings in another way."""
    here, there = tmp_path / "here", tmp_path / "there"
    for command in commands(here):
        group.main(command, standalone_mode=False)
    hash_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    arguments = [sys.executable, "-c", IN_A_PROCESS, json.dumps(commands(there))]
    subprocess.run(arguments, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})
    first, second = content(here), content(there)
    assert sorted(first) == sorted(second)
    assert {"config.json", "metrics.jsonl", "results.jsonl", "checkpoints/last.pt"} < set(first)
    different = [name for name in first if first[name] != second[name]]
    assert not different
