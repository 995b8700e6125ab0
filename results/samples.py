"""Values per sample that an evaluation kept, for comparing two runs sample by sample."""

from __future__ import annotations

from collections.abc import Collection

from core.runs.sample_values import VALUES, read_values
from core.utils.results import ResultMetadata
from results.run import Run

Values = dict[int, float]


def sample_values(
    run: Run, metadata: ResultMetadata, sample_seeds: Collection[int | None] | None = None
) -> Values | None:
    """Return the values, by sample id, whose mean is a result of the run; None if none were kept.

    They come from the newest complete evaluation with this result. A file that cannot be read, or that holds a value
    that is not finite, is added to the run's faults.

    Args:
        run: The run.
        metadata: The measure.
        sample_seeds: Take only results of samples that were drawn with one of these seeds; None takes any.
    """
    evaluation = evaluation_of(run, metadata, sample_seeds)
    if evaluation is None:
        return None
    values, faults = read_values(run.path, evaluation, metadata)
    run.faults.extend(fault for fault in faults if fault not in run.faults)
    return values


def evaluation_of(run: Run, metadata: ResultMetadata, sample_seeds: Collection[int | None] | None = None) -> str | None:
    """Return the id of the newest complete evaluation with a result of this measure, None if none kept values.

    Args:
        run: The run.
        metadata: The measure.
        sample_seeds: Take only results of samples that were drawn with one of these seeds; None takes any.
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
    """Return the values of the samples that both have, pair by pair."""
    ids = sorted(a.keys() & b.keys())
    return [a[i] for i in ids], [b[i] for i in ids]
