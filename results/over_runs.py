"""A measure over the replicates of a group: its summary, as text and as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from core.utils.formatting import format_value
from results.statistics.intervals import Summary, summarise
from results.text.numbers import decimals_of, known_error, mean_error


@frozen
class OverRuns:
    """A measure over the replicates of a group.

    Attributes:
        summary: n, mean, standard error over runs and its t interval; n counts runs, never samples.
        within_error: The typical standard error within one run (root of the mean square); NaN if a run's is unknown.
        n_not_finite: Runs among the n whose own result is NaN or infinite; they make the mean so, too.
        n_lacking: Replicates without this result; they are not among the n.
        proportion: Of a single run whose result is a proportion: that proportion and its number of observations.
    """

    summary: Summary
    within_error: float
    n_not_finite: int
    n_lacking: int
    proportion: tuple[float, int] | None = None


def summarise_results(found: Sequence[Mapping[str, Any]], n_lacking: int = 0, level: float = 0.95) -> OverRuns:
    """Summarise a measure over runs.

    Args:
        found: One result of each replicate, as the fields of a ScalarResult.
        n_lacking: Replicates without this result.
        level: Coverage of the interval over runs.
    """
    errors = [known_error(fields["error"], fields["n"]) for fields in found]
    return OverRuns(
        summarise([fields["mean"] for fields in found], level),
        math.sqrt(math.fsum(e * e for e in errors) / len(errors)) if errors else math.nan,
        sum(not math.isfinite(fields["mean"]) for fields in found),
        n_lacking,
    )


def over_runs_text(over: OverRuns, error: str = "ci") -> str:
    """Return mean ± error over runs; "unknown" for one run, or for runs that are all equal.

    Args:
        over: The measure over runs.
        error: "ci" for half of the t interval, "se" for the standard error.
    """
    summary = over.summary
    if not math.isfinite(summary.mean) or not math.isnan(summary.error):
        return mean_error(summary.mean, summary.half_width if error == "ci" else summary.error)
    decimals = decimals_of(over.within_error)  # the error over runs is unknown: the one within a run cuts the digits
    mean = format_value(summary.mean) if decimals is None else f"{summary.mean:.{decimals}f}"
    return f"{mean} ± unknown{f' (all {summary.n} equal)' if summary.is_constant else ''}"


def over_runs_numbers(over: OverRuns) -> dict[str, Any]:
    """Return a measure over runs as plain numbers, under the names of the JSON and CSV formats."""
    summary = over.summary
    return {
        "n_runs": summary.n,
        "mean": summary.mean,
        "standard_error": summary.error,
        "ci_low": summary.ci_low,
        "ci_high": summary.ci_high,
        "within_run_error": over.within_error,
        "n_runs_not_finite": over.n_not_finite,
        "n_runs_lacking": over.n_lacking,
    }
