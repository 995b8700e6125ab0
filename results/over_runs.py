"""Summary of a measure over the replicates of a group, as text and as plain numbers."""

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
    """Summary of a measure over the replicates of a group.

    Attributes:
        summary: n, mean, standard error over runs and t interval. n is the number of runs, not of samples.
        within_error: Root mean square of the runs' own standard errors; NaN if one of them is unknown.
        n_not_finite: How many of the n runs have a NaN or infinite result, which makes the mean NaN or infinite.
        n_lacking: Number of replicates without this result; n does not count them.
        proportion: If the only run's result is a proportion: the proportion and its number of observations.
    """

    summary: Summary
    within_error: float
    n_not_finite: int
    n_lacking: int
    proportion: tuple[float, int] | None = None


def summarise_results(found: Sequence[Mapping[str, Any]], n_lacking: int = 0, level: float = 0.95) -> OverRuns:
    """Summarise a measure over runs.

    Args:
        found: The result of each replicate, as the fields of a ScalarResult.
        n_lacking: Number of replicates without this result.
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
    """Return mean ± error over runs. The error is "unknown" for one run, or if all runs are equal.

    Args:
        over: The summary over runs.
        error: "ci" for half of the t interval, "se" for the standard error.
    """
    summary = over.summary
    if not math.isfinite(summary.mean) or not math.isnan(summary.error):
        return mean_error(summary.mean, summary.half_width if error == "ci" else summary.error)
    decimals = decimals_of(
        over.within_error
    )  # the error over runs is unknown, so the error within a run sets the digits
    mean = format_value(summary.mean) if decimals is None else f"{summary.mean:.{decimals}f}"
    return f"{mean} ± unknown{f' (all {summary.n} equal)' if summary.is_constant else ''}"


def over_runs_numbers(over: OverRuns) -> dict[str, Any]:
    """Return the summary as plain numbers, under the names that the JSON and CSV formats use."""
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
