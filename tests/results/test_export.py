"""Exports: every run is there, and a number is what was measured."""

import csv
import io
import json
import math
import sys
from pathlib import Path

import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun

from core.utils.results import ScalarResult
from results.database import ResultsDatabase
from results.export import rows


@pytest.fixture
def database(make_run: MakeRun, experiments: Path) -> ResultsDatabase:
    make_run({LOSS: ScalarResult(0.1 + 0.2, math.nan, 7), ACCURACY: math.inf}, seed=1, hidden_layer_sizes=(8, 16))
    make_run(state="failed", dataset="=1+1")
    return ResultsDatabase(experiments)


def test_there_is_a_row_per_run_and_result_and_one_for_a_run_without(database: ResultsDatabase) -> None:
    found = list(rows(database))
    assert [(row["status"], row["measure.name"], row["config.seed"]) for row in found] == [
        ("finished", "loss", 1),
        ("finished", "accuracy", 1),
        ("failed", None, 0),
    ]
    assert found[0]["mean"] == 0.1 + 0.2
    assert found[0]["measure.protocol"] == '{"split": "held_out"}'
    assert len({tuple(row) for row in found}) == 1


def test_csv_keeps_every_bit_and_no_cell_is_a_formula(database: ResultsDatabase) -> None:
    found = list(csv.DictReader(io.StringIO(database.to_csv())))
    assert float(found[0]["mean"]) == 0.1 + 0.2
    assert found[0]["error"] == ""
    assert found[1]["mean"] == "Infinity"
    assert found[0]["config.hidden_layer_sizes"] == "8,16"
    assert found[2]["config.dataset"] == "'=1+1"
    assert found[2]["mean"] == ""


def test_json_is_strict_and_holds_a_run_as_one_object(database: ResultsDatabase) -> None:
    content = json.loads(database.to_json(), parse_constant=pytest.fail)
    first, second = content["runs"]
    assert first["results"][0]["result"] == {"mean": 0.1 + 0.2, "error": None, "n": 7, "n_nan": 0, "n_inf": 0}
    assert first["results"][1]["result"]["mean"] == "Infinity"
    assert first["config"]["hidden_layer_sizes"] == [8, 16]
    assert (second["status"]["state"], second["results"]) == ("failed", [])


def test_data_frames_have_a_row_per_result(database: ResultsDatabase) -> None:
    pytest.importorskip("pandas")
    frame = database.to_pandas()
    assert list(frame["measure.name"][:2]) == ["loss", "accuracy"]
    pytest.importorskip("polars")
    assert database.to_polars()["mean"][0] == 0.1 + 0.2


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_named_with_its_remedy(
    database: ResultsDatabase, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"needs {library}, which is not installed; try: pip install {library}"):
        getattr(database, f"to_{library}")()


@pytest.mark.usefixtures("database")
def test_the_command_prints_or_writes(invoke: Invoke, tmp_path: Path) -> None:
    code, out, _ = invoke("runs", "export", "--where", "status=finished")
    assert code == 0
    assert len(out.splitlines()) == 3
    code, out, _ = invoke("runs", "export", "--format", "json", "-o", tmp_path / "all.json")
    assert out == f"Written: {tmp_path / 'all.json'}\n"
    assert len(json.loads((tmp_path / "all.json").read_text())["runs"]) == 2
    code, _, err = invoke("runs", "export", "-o", "/nowhere/all.csv")
    assert code == 2
    assert "/nowhere/all.csv: cannot be written" in err
