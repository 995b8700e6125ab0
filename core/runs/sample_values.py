"""Values per sample, so that two runs can be compared sample by sample: their writer and reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from core.runs.arrays import read_arrays, write_arrays
from core.runs.files import Fault, make_directory
from core.runs.limits import MOST_MAGNITUDE
from core.runs.open_file import RefusedFileError, directory_inside
from core.runs.serialise import unstructure
from core.runs.strict_json import dumps, loads
from core.utils.metadata import ResultMetadata

VALUES = "values"
VALUES_SCHEMA = "pyml.values/1"


def save_values(
    run_path: str | Path,
    evaluation: str | None,
    name: str,
    sample_ids: Any,
    values: Any,
    metadata: ResultMetadata,
    cluster_ids: Any = None,
) -> Path | None:
    """Write ``values/<evaluation>/<name>.npz`` and return its path; without an evaluation, write nothing.

    The file holds ``sample_id`` (int64), ``value`` (float64) and ``metadata``: the JSON of the schema and of the
    metadata under which the mean of the values was logged. Values are paired only with values of equal metadata.

    Args:
        run_path: The run directory.
        evaluation: Id of the evaluation, or None.
        name: Name of the file; characters that a file name cannot hold are escaped.
        sample_ids: Integers, each once, of shape ``(N,)``.
        values: Real numbers of shape ``(N,)``.
        metadata: Metadata of the result.
        cluster_ids: Integers of shape ``(N,)``, equal for samples that belong together, such as several draws of one
            image or questions about one text; kept as ``cluster_id`` (int64). None: the samples are independent.

    Raises:
        ValueError: The arrays are not of one length, or a sample id occurs twice.
        TypeError: The ids are not integers, or the values not real numbers.
        OSError: The file cannot be written.
    """
    if evaluation is None:
        return None
    ids, numbers = _checked(_as_array(sample_ids), _as_array(values))
    clusters: dict[str, Any] = (
        {} if cluster_ids is None else {"cluster_id": _checked_clusters(_as_array(cluster_ids), len(ids))}
    )
    path = directory_inside(run_path, f"{VALUES}/{evaluation}") / f"{quote(name, safe=' ')}.npz"
    make_directory(path.parent)
    about = np.array(dumps({"schema": VALUES_SCHEMA, **unstructure(metadata)}))
    write_arrays(path, {"sample_id": ids, "value": numbers, "metadata": about, **clusters})
    return path


def _as_array(values: Any) -> NDArray[Any]:
    """Return an array of a sequence, an array or a tensor on any device."""
    if callable(detach := getattr(values, "detach", None)):
        values = detach().cpu()
        values = values.double() if values.is_floating_point() else values  # NumPy has no bfloat16
    return np.asarray(list(values) if isinstance(values, range) else values)


def _checked(ids: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"sample_ids: got an array of {ids.dtype}; accepted: integers")
    if values.size and values.dtype.kind not in "iufb":
        raise TypeError(f"values: got an array of {values.dtype}; accepted: real numbers")
    if ids.ndim != 1 or ids.shape != values.shape:
        raise ValueError(f"got sample_ids of shape {ids.shape} and values of shape {values.shape}; accepted: two (N,)")
    if len(np.unique(ids)) < len(ids):
        raise ValueError("sample_ids: a sample came twice; accepted: each sample once, with its own value")
    return ids.astype(np.int64), values.astype(np.float64)


def _checked_clusters(clusters: NDArray[Any], n: int) -> NDArray[np.int64]:
    if clusters.size and clusters.dtype.kind not in "iu":
        raise TypeError(f"cluster_ids: got an array of {clusters.dtype}; accepted: integers")
    if clusters.shape != (n,):
        raise ValueError(f"cluster_ids: got shape {clusters.shape} for {n} samples; accepted: one per sample")
    return clusters.astype(np.int64)


def read_values(
    run_path: str | Path, evaluation: str, metadata: ResultMetadata
) -> tuple[dict[int, float] | None, list[Fault]]:
    """Return the values, by sample id, that an evaluation kept for this metadata, and the files that cannot be used.

    The values are None if the evaluation kept none, or if a value is not finite: such samples cannot be paired.
    """
    faults: list[Fault] = []
    try:
        paths = _files_of(run_path, evaluation)
    except RefusedFileError as error:
        return None, [Fault(Path(error.filename), f"{error.strerror}; its samples are not paired")]
    for path in paths:
        found = _read(path, metadata)
        if isinstance(found, Fault):
            faults.append(found)
        elif found is not None:
            ids, values = found
            return dict(zip(ids.tolist(), values.tolist(), strict=True)), faults
    return None, faults


def _files_of(run_path: str | Path, evaluation: str) -> list[Path]:
    return sorted(directory_inside(run_path, f"{VALUES}/{evaluation}").glob("*.npz"))


def _metadata_of(arrays: dict[str, NDArray[Any]]) -> ResultMetadata:
    fields = loads(str(arrays["metadata"]))
    if not isinstance(fields, dict):
        raise ValueError(f"metadata: holds a {type(fields).__name__}, not an object")
    schema = fields.pop("schema", VALUES_SCHEMA)  # the first files named none
    if schema != VALUES_SCHEMA:
        raise ValueError(f"has schema {schema!r}; this version reads {VALUES_SCHEMA!r}")
    return ResultMetadata(**fields)


def _read(path: Path, metadata: ResultMetadata) -> tuple[NDArray[np.int64], NDArray[np.float64]] | Fault | None:
    """Return the arrays of a file whose values are of this metadata, None of any other, or why it cannot be used."""
    try:
        arrays = read_arrays(path)
        if _metadata_of(arrays) != metadata:
            return None
        ids, values = arrays["sample_id"], arrays["value"]
    except (ValueError, LookupError, TypeError) as error:
        return Fault(path, f"cannot be read ({error}); its samples are not paired")
    are_numbers = ids.dtype.kind in "iu" and values.dtype.kind == "f" and values.itemsize <= 8
    if ids.ndim != 1 or ids.shape != values.shape or not are_numbers:
        kinds = f"sample_id {ids.dtype} {ids.shape}, value {values.dtype} {values.shape}"
        what = "integers and floats of up to 64 bits, of one shape"
        return Fault(path, f"holds {kinds}; accepted: {what}; its samples are not paired")
    if len(np.unique(ids)) < len(ids):
        return Fault(path, "holds a sample id twice; its samples are not paired")
    if n := int(np.sum(~np.isfinite(values))):
        return Fault(path, f"{n} of {len(values)} values are not finite; its samples are not paired")
    if values.size and np.abs(values).max() > MOST_MAGNITUDE:
        return Fault(path, f"holds values beyond {MOST_MAGNITUDE:g}; its samples are not paired")
    return ids, values


def read_clusters(run_path: str | Path, evaluation: str, metadata: ResultMetadata) -> dict[int, int] | None:
    """Return the clusters, by sample id, that an evaluation kept for this metadata; None if it kept none.

    Arrays that are not integers of one shape count as none.
    """
    try:
        paths = _files_of(run_path, evaluation)
    except RefusedFileError:  # read_values reports it
        return None
    for path in paths:
        try:
            arrays = read_arrays(path)
            if _metadata_of(arrays) != metadata or "cluster_id" not in arrays:
                continue
            ids, clusters = arrays["sample_id"], arrays["cluster_id"]
        except (ValueError, LookupError, TypeError):
            continue  # read_values reports such a file
        if ids.ndim == 1 and ids.shape == clusters.shape and ids.dtype.kind in "iu" and clusters.dtype.kind in "iu":
            return dict(zip(ids.tolist(), clusters.tolist(), strict=True))
    return None
