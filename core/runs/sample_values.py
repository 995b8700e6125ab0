"""Values per sample, kept beside the results so that two runs can be compared sample by sample."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.runs.files import write_atomic
from core.runs.serialise import unstructure
from core.runs.strict_json import dumps
from core.utils.metadata import ResultMetadata

VALUES = "values"


def save_values(
    run_path: str | Path,
    evaluation: str | None,
    evaluator: str,
    sample_ids: Sequence[int],
    values: NDArray[np.float64],
    metadata: ResultMetadata,
) -> None:
    """Write ``values/<evaluation>/<evaluator>.npz``; nothing where there is no evaluation to keep it under.

    The file holds ``sample_id`` (int64), ``value`` (float64) and ``metadata``, the JSON of what the values' mean is
    recorded under: values of other metadata are not to be paired with them.
    """
    if evaluation is None:
        return
    path = Path(run_path) / VALUES / evaluation / f"{evaluator}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        sample_id=np.asarray(sample_ids, dtype=np.int64),
        value=np.asarray(values, dtype=np.float64),
        metadata=np.array(dumps(unstructure(metadata))),
    )
    write_atomic(path, buffer.getvalue())


def read_values(run_path: str | Path, evaluation: str, metadata: ResultMetadata) -> dict[int, float] | None:
    """Return the values, by sample id, that an evaluation kept for this metadata; None where it kept none."""
    for path in sorted((Path(run_path) / VALUES / evaluation).glob("*.npz")):
        found = _read(path, metadata)
        if found is not None:
            ids, values = found
            return dict(zip(ids.tolist(), values.tolist(), strict=True))
    return None


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
