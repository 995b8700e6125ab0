"""The SQL of the documentation, run by DuckDB on damaged and superseded results: it counts what ``runs`` counts."""

import math
from pathlib import Path
from typing import Any

import attrs
import pytest
from made_runs import ACCURACY, LOSS, MakeRun, log, set_status

from core.utils.results import ResultRecord, ResultSource, ScalarResult, log_record
from results.database import ResultsDatabase

DOCS = Path(__file__).parents[2] / "docs"
TORN = '{"schema": "pyml.result/1", "evaluation": "ev'


def statements(document: str) -> list[str]:
    sql = (DOCS / document).read_text(encoding="utf-8").partition("```sql\n")[2].partition("```")[0]
    return [statement for statement in sql.split(";") if statement.strip()]


@pytest.fixture
def rows(make_run: MakeRun, experiments: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[Any, ...]]]:
    """Return what the view holds, and then what the statement after it and that of run_directory.md give."""
    duckdb = pytest.importorskip("duckdb")
    superseded = make_run({LOSS: 0.9, ACCURACY: 0.5}, seed=0)
    with (superseded / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(TORN + "\n")
    log(superseded, {attrs.evolve(LOSS, role="part"): 0.3})  # the role is no part of what makes two results the same
    log(superseded, {LOSS: 0.7}, finished=False)
    make_run({LOSS: math.inf, attrs.evolve(LOSS, n_steps=9): 0.2, attrs.evolve(LOSS, protocol={"s": 1}): 0.1}, seed=1)
    trained_on = make_run({ACCURACY: 0.25}, seed=2)
    for step, name in ((30, "now"), (20, "before")):
        metadata = attrs.evolve(LOSS, name=name)
        log_record(ResultRecord(metadata, ScalarResult(0.5), ResultSource(step=step)), trained_on)
    kept = attrs.evolve(LOSS, name="kept", protocol={"checkpoint": "step-20"})
    log_record(ResultRecord(kept, ScalarResult(0.6), ResultSource(step=20)), trained_on)
    log_record(ResultRecord(ACCURACY, ScalarResult(0.75)), trained_on, evaluation="train")
    set_status(trained_on, step=30)
    with (make_run({LOSS: 0.4}, seed=3) / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(TORN)
    (make_run() / "status.json").write_text("{torn", encoding="utf-8")
    monkeypatch.chdir(experiments.parent)
    connection = duckdb.connect()
    view, summary = statements("many_runs.md")
    connection.execute(view)
    fields = "run, name, n_steps, CAST(protocol AS VARCHAR), mean, stale"
    return [
        connection.execute(sql).fetchall()
        for sql in (f"SELECT {fields} FROM results", summary, *statements("run_directory.md"))
    ]


def test_the_view_counts_what_runs_counts(rows: list[list[tuple[Any, ...]]], experiments: Path) -> None:
    counted = {
        (run.id, metadata.name, metadata.n_steps, len(metadata.protocol), fields["mean"], metadata in run.stale)
        for run in ResultsDatabase(experiments)
        for metadata, fields in run.measures.items()
    }
    found = [(*row[:3], row[3].count(":"), *row[4:]) for row in rows[0]]
    assert len(found) == len(counted) == 10
    assert set(found) == counted
    assert sorted(row[4] for row in found) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.6, 0.75, math.inf]
    assert [row[1] for row in found if row[5]] == ["before"]


def test_the_summary_leaves_stale_results_out(rows: list[list[tuple[Any, ...]]]) -> None:
    assert {row[:2] for row in rows[1]} == {("loss", 5), ("accuracy", 2), ("now", 1), ("kept", 1)}


def test_every_record_is_listed_past_a_torn_line(rows: list[list[tuple[Any, ...]]]) -> None:
    assert len(rows[2]) == 13
