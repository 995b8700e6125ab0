"""Values per sample name their schema; files from before it are still read, and those of another are refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.runs.files import Fault
from core.runs.sample_values import read_values, save_values
from core.utils.results import ResultMetadata

LOSS = ResultMetadata("loss", unit="image", protocol={"split": "held_out"})


def rewritten(run_path: Path, **changes: object) -> Path:
    """Save two values, and give the file's metadata other fields; None removes a field."""
    path = save_values(run_path, "eval-0001", "loss", [3, 5], [0.25, 0.5], LOSS)
    assert path is not None
    with np.load(path) as file:
        arrays = dict(file)
    about = {**json.loads(str(arrays["metadata"])), **changes}
    arrays["metadata"] = np.array(json.dumps({name: value for name, value in about.items() if value != "remove"}))
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stub takes the first keyword for allow_pickle
    return path


def test_values_name_their_schema(tmp_path: Path) -> None:
    path = save_values(tmp_path, "eval-0001", "loss", [3, 5], [0.25, 0.5], LOSS)
    assert path is not None
    with np.load(path) as file:
        assert json.loads(str(file["metadata"]))["schema"] == "pyml.values/1"
    assert read_values(tmp_path, "eval-0001", LOSS) == ({3: 0.25, 5: 0.5}, [])


def test_values_without_a_schema_are_read(tmp_path: Path) -> None:
    rewritten(tmp_path, schema="remove")
    assert read_values(tmp_path, "eval-0001", LOSS) == ({3: 0.25, 5: 0.5}, [])


@pytest.mark.parametrize("schema", ["pyml.values/2", None, 1])
def test_values_of_another_schema_are_a_fault(tmp_path: Path, schema: object) -> None:
    path = rewritten(tmp_path, schema=schema)
    values, (fault,) = read_values(tmp_path, "eval-0001", LOSS)
    assert values is None
    reason = f"cannot be read (has schema {schema!r}; this version reads 'pyml.values/1'); its samples are not paired"
    assert fault == Fault(path, reason)
