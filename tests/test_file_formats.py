"""docs/run_directory.md is enough to read a run: this reader imports nothing of ours."""

import json
import subprocess
import sys
from pathlib import Path

from core.runs import Run

READER = """
import json, math, sys
from pathlib import Path


def number(value):
    return math.nan if value is None else float(value)  # also "Infinity" and "-Infinity"


def lines(path):
    for line in path.read_bytes().split(b"\\n") if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # blank, or torn by a crash
        if isinstance(row, dict):
            yield row


def results(run):
    rows = list(lines(run / "results.jsonl"))
    done = {row["evaluation"] for row in rows if row["schema"] == "pyml.evaluation/1"}
    newest = {}
    for row in rows:
        if row["schema"] == "pyml.result/1" and row["evaluation"] in {None, "train", *done}:
            about, result = row["metadata"], row["result"]
            key = json.dumps([about[name] for name in ("name", "n_steps", "n_samples", "unit", "protocol")])
            newest[key] = (about["name"], number(result["mean"]), number(result["error"]), result["n"])
    return sorted(newest.values())


def curve(run):
    rows = lines(run / "metrics.jsonl")
    return {row["step"]: {name: number(of["mean"]) for name, of in row["measures"].items()} for row in rows}


run = Path(sys.argv[1])
config, status = (json.loads((run / name).read_text()) for name in ("config.json", "status.json"))
print(json.dumps([config["config"], status["state"], results(run), sorted(curve(run).items())]))
assert not {"core", "results", "numpy"} & set(sys.modules)
"""


def test_a_run_is_read_by_thirty_lines_of_plain_python(tmp_path: Path) -> None:
    with Run({"model": "resnet", "lr": 3e-4, "seed": 0}, path=tmp_path / "run") as run:
        for step in (1, 2):
            run.meter.update(loss=[1.0 / step, 2.0 / step])
            run.log_curve(step)
        run.log_result("accuracy", [1, 1, 0, 1], unit="image")
    with Run.open(run.path) as later:
        later.log_result("accuracy", [1, 1, 1, 1], unit="image")  # the newest complete evaluation counts
        later.log_result("best", float("inf"), unit="image")
    with (run.path / "results.jsonl").open("ab") as file:
        file.write(b'{"schema": "pyml.result/1", "evalu')  # torn by a crash
    command = [sys.executable, "-I", "-S", "-c", READER, str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    config, state, results, curve = json.loads(done.stdout)
    assert (config, state) == ({"model": "resnet", "lr": 3e-4, "seed": 0}, "finished")
    assert results[0] == ["accuracy", 1.0, 0.0, 4]
    assert results[1][:2] == ["best", float("inf")]
    assert curve == [[1, {"loss": 1.5}], [2, {"loss": 0.75}]]
