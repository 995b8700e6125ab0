"""Any reader of JSON Lines reads a run's results.jsonl."""

import json
import math
from pathlib import Path

import pytest

from core.runs.evaluations import finish_evaluation, start_evaluation
from core.utils.results import ResultMetadata, ResultRecord, ResultSource, ScalarResult, log_record

MEANS = [0.5, 0.25, math.nan]


@pytest.fixture
def results_file(tmp_path: Path) -> Path:
    evaluation = start_evaluation(tmp_path, {})
    for step, mean in enumerate(MEANS):
        metadata = ResultMetadata(f"loss/{step}", n_steps=18, protocol={"split": "held_out"})
        log_record(
            ResultRecord(metadata, ScalarResult(mean, 0.1, 3), ResultSource(step)), tmp_path, evaluation=evaluation
        )
    finish_evaluation(tmp_path, evaluation, len(MEANS))
    return tmp_path / "results.jsonl"


def test_plain_python_reads_line_by_line(results_file: Path) -> None:
    with results_file.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert [row["result"]["mean"] for row in rows[:-1]] == [0.5, 0.25, None]
    assert rows[-1]["state"] == "finished"


def test_pandas_reads_it(results_file: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_json(results_file, lines=True)
    records = frame[frame["schema"] == "pyml.result/1"]
    assert [result["mean"] for result in records["result"]] == [0.5, 0.25, None]
    assert [metadata["name"] for metadata in records["metadata"]] == ["loss/0", "loss/1", "loss/2"]


def test_polars_reads_it(results_file: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.read_ndjson(results_file)
    assert frame["result"].struct.field("mean").to_list() == [0.5, 0.25, None, None]
    assert frame["source"].struct.field("step").to_list() == [0, 1, 2, None]


def test_duckdb_reads_it(results_file: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    query = f"SELECT metadata.name, result.mean FROM read_json_auto('{results_file}') WHERE metadata IS NOT NULL"
    assert duckdb.sql(query).fetchall() == [("loss/0", 0.5), ("loss/1", 0.25), ("loss/2", None)]
