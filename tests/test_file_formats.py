"""docs/run_directory.md is enough to read a run: this reader imports nothing of ours."""

import json
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from core.runs import Run
from core.utils.results import ResultSource

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


VALUES_READER = """
import json, struct, sys, zipfile


def array(archive, name):
    content = archive.read(name + ".npy")
    start = 10 + struct.unpack("<H", content[8:10])[0]  # after the magic, the version and the header
    header, data = content[10:start].decode(), content[start:]
    if "'<U" in header:
        return data.decode("utf-32-le").rstrip("\\0")
    return [number for (number,) in struct.iter_unpack("<q" if "'<i8'" in header else "<d", data)]


with zipfile.ZipFile(sys.argv[1]) as archive:
    ids, values, clusters = (array(archive, name) for name in ("sample_id", "value", "cluster_id"))
    print(json.dumps([ids, values, clusters, json.loads(array(archive, "metadata"))]))
assert not {"core", "results", "numpy"} & set(sys.modules)
"""


def test_values_per_sample_are_read_by_plain_python(tmp_path: Path) -> None:
    with Run({"seed": 0}, path=tmp_path / "run") as run:
        run.log_result("a/µ", [0.5, 1.0, 0.1], unit="image", protocol={"split": "test"})
        file = run.save_values("a/µ", [3, -4, 5], [0.5, 1.0, 0.1], cluster_ids=[1, 1, 2])
    assert file == run.path / "values/train" / f"{urllib.parse.quote('a/µ', safe=' ')}.npz"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", VALUES_READER, str(file)], capture_output=True, text=True, check=True
    )
    ids, values, clusters, metadata = json.loads(done.stdout)
    assert (ids, values, clusters) == ([3, -4, 5], [0.5, 1.0, 0.1], [1, 1, 2])
    (line,) = (run.path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert metadata == {"schema": "pyml.values/1", **json.loads(line)["metadata"]}


#: The section of the documentation for each schema.
SECTIONS = {
    "pyml.config/1": "`config.json`",
    "pyml.environment/1": "`environment.json`",
    "pyml.status/1": "`status.json`",
    "pyml.metrics/1": "A line of `metrics.jsonl`",
    "pyml.result/1": "A line of `results.jsonl`",
    "pyml.evaluation/1": "Which number is the result",
}


def fields_of(row: dict[str, Any]) -> set[str]:
    """Return the fields of a line or file, those of its inner objects included."""
    inner = [row[name] for name in ("metadata", "result", "source") if name in row]
    return set(row).union(*inner, *row.get("measures", {}).values(), *row.get("plugins", {}).values())


def test_every_field_that_is_written_is_documented(tmp_path: Path) -> None:
    with Run({"seed": 0}, path=tmp_path, plugins={"model": {"name": "a", "distribution": "b", "version": "1"}}) as run:
        run.meter.update(loss=1.0)
        run.log_curve(1, epoch=1)
    with Run.open(tmp_path) as later:
        source = ResultSource(1, f"sha256:{'0' * 64}", "ema", 0)
        later.log_result("accuracy", [0, 1], role="part", source=source)
    page = (Path(__file__).parents[1] / "docs/run_directory.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")[1:]}
    files = [(tmp_path / name).read_text() for name in ("config.json", "environment.json", "status.json")]
    lines = [line for name in ("metrics.jsonl", "results.jsonl") for line in (tmp_path / name).read_text().splitlines()]
    rows = [json.loads(text) for text in [*files, *lines]]
    assert {row["schema"] for row in rows} == set(SECTIONS)
    for row in rows:
        title = SECTIONS[row["schema"]]
        documented = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", sections[title]))))
        assert fields_of(row) <= documented, f"{title} does not name {fields_of(row) - documented}"
