"""Values per sample that an evaluator kept, for comparing two runs sample by sample."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.utils.results import ResultMetadata
from results.run import Run

Values = dict[int, float]


def sample_values(run: Run, metadata: ResultMetadata) -> Values | None:
    """Return the values, by sample id, whose mean is the run's result of this metadata; None where none were kept.

    They come from the evaluation whose record is the result: values/<evaluation>/<evaluator>.npz, arrays sample_id and
    value, and metadata, the JSON of what their mean is recorded under.
    """
    evaluation = _evaluation_of(run, metadata)
    if evaluation is None:
        return None
    for path in sorted((run.path / "values" / evaluation).glob("*.npz")):
        found = _read(path, metadata)
        if found is not None:
            ids, values = found
            return dict(zip(ids.tolist(), values.tolist(), strict=True))
    return None


def shared_samples(a: Values, b: Values) -> tuple[list[float], list[float]]:
    """Return the values of the samples that both have, pair by pair."""
    ids = sorted(a.keys() & b.keys())
    return [a[i] for i in ids], [b[i] for i in ids]


def _evaluation_of(run: Run, metadata: ResultMetadata) -> str | None:
    """Return the id of the newest complete evaluation that has a record of this metadata."""
    if not (run.path / "values").is_dir():
        return None
    found = [e.evaluation for e in run.log().entries if e.is_complete and e.record.metadata == metadata]
    return found[-1] if found else None


def _read(path: Path, metadata: ResultMetadata) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Return the arrays of a file whose values are of this metadata; None of any other, or where it cannot be read."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            fields = json.loads(str(file["metadata"]))
            if ResultMetadata(**fields) != metadata:
                return None
            ids, values = file["sample_id"], file["value"]
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    if ids.ndim != 1 or ids.shape != values.shape or ids.dtype.kind not in "iu" or values.dtype.kind != "f":
        return None
    return ids, values
