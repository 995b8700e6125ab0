"""Values per sample, kept beside the results so that two runs can be compared sample by sample."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.runs.files import write_atomic
from core.runs.serialise import unstructure
from core.runs.strict_json import dumps
from core.utils.results import ResultMetadata


def save_values(
    run_path: Path,
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
    path = run_path / "values" / evaluation / f"{evaluator}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        sample_id=np.asarray(sample_ids, dtype=np.int64),
        value=np.asarray(values, dtype=np.float64),
        metadata=np.array(dumps(unstructure(metadata))),
    )
    write_atomic(path, buffer.getvalue())
