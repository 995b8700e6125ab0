"""The values of each sample that an evaluation saved, for comparing two runs sample by sample."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping
from typing import Any

from core.runs.sample_values import VALUES, read_values
from core.utils.results import ResultMetadata
from results.run import Run

Values = dict[int, float]


def sample_values(
    run: Run, metadata: ResultMetadata, sample_seeds: Collection[int | None] | None = None
) -> Values | None:
    """Return a measure's value for each sample id, from the newest complete evaluation of the measure.

    Return None if no values were saved. A file that cannot be read, or that holds a value that is not finite, is added
    to the run's faults.

    Args:
        run: The run.
        metadata: The measure.
        sample_seeds: Use only results whose samples were drawn with one of these seeds; None accepts any seed.
    """
    evaluation = evaluation_of(run, metadata, sample_seeds)
    if evaluation is None:
        return None
    values, faults = read_values(run.path, evaluation, metadata)
    run.faults.extend(fault for fault in faults if fault not in run.faults)
    return values


def evaluation_of(run: Run, metadata: ResultMetadata, sample_seeds: Collection[int | None] | None = None) -> str | None:
    """Return the id of the newest complete evaluation of a measure, or None if the run has none or saved no values.

    Args:
        run: The run.
        metadata: The measure.
        sample_seeds: Use only results whose samples were drawn with one of these seeds; None accepts any seed.
    """
    if not (run.path / VALUES).is_dir():
        return None
    found = [
        entry.evaluation
        for entry in run.complete_entries(metadata)
        if sample_seeds is None or (entry.record.source and entry.record.source.sample_seed) in sample_seeds
    ]
    return found[-1] if found else None


def shared_samples(a: Values, b: Values) -> tuple[list[float], list[float]]:
    """Return the values of the samples that both runs have, in the same order."""
    ids = sorted(a.keys() & b.keys())
    return [a[i] for i in ids], [b[i] for i in ids]


def have_mean_of(values: Values, result: Mapping[str, Any]) -> bool:
    """Return whether the mean over the values that a run kept is its result; the fields are those of a ScalarResult."""
    mean, error = float(result["mean"]), float(result["error"])
    rounding = 1e-6 * abs(mean) + (0.0 if math.isnan(error) else 1e-3 * error)
    return abs(statistics.fmean(values.values()) - mean) <= rounding
