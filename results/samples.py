"""Values per sample that an evaluator kept, for comparing two runs sample by sample."""

from __future__ import annotations

from core.runs.sample_values import VALUES, read_values
from core.utils.results import ResultMetadata
from results.run import Run

Values = dict[int, float]


def sample_values(run: Run, metadata: ResultMetadata) -> Values | None:
    """Return the values, by sample id, whose mean is the run's result of this metadata; None where none were kept.

    They come from the evaluation whose record is the result.
    """
    evaluation = _evaluation_of(run, metadata)
    if evaluation is None:
        return None
    return read_values(run.path, evaluation, metadata)


def shared_samples(a: Values, b: Values) -> tuple[list[float], list[float]]:
    """Return the values of the samples that both have, pair by pair."""
    ids = sorted(a.keys() & b.keys())
    return [a[i] for i in ids], [b[i] for i in ids]


def _evaluation_of(run: Run, metadata: ResultMetadata) -> str | None:
    """Return the id of the newest complete evaluation that has a record of this metadata."""
    if not (run.path / VALUES).is_dir():
        return None
    found = [e.evaluation for e in run.log().entries if e.is_complete and e.record.metadata == metadata]
    return found[-1] if found else None
