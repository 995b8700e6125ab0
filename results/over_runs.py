"""Summary of a measure over the replicates of a group, as text and as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from core.utils.results import ResultMetadata
from results.statistics.intervals import Summary, summarise
from results.text.durations import PLAIN, Unit, unit_of
from results.text.numbers import known_error
from results.text.proportions import interval_of, is_proportion


@frozen
class OverRuns:
    """Summary of a measure over the replicates of a group.

    Attributes:
        summary: n, mean, standard error over runs and t interval. n is the number of runs, not of samples.
        within_error: Root mean square of the runs' own standard errors; NaN if one of them is unknown.
        n_not_finite: How many of the n runs have a NaN or infinite result, which makes the mean NaN or infinite.
        n_lacking: Number of replicates without this result; n does not count them.
        n_nan: Observations that were NaN and left out of the runs' means.
        n_observations: All observations, those included; None if a run does not say how many it has.
        proportion: If the only run's result is a proportion: the proportion, its number of observations and its error.
        unit: The unit in which the numbers are printed.
    """

    summary: Summary
    within_error: float
    n_not_finite: int
    n_lacking: int
    n_nan: int = 0
    n_observations: int | None = None
    proportion: tuple[float, int, float] | None = None
    unit: Unit = PLAIN

    @property
    def nan_text(self) -> str:
        """Return "3 of 5,000 observations NaN" where NaNs were left out of means, else ""."""
        of = "" if self.n_observations is None else f" of {self.n_observations:,}"
        return f"{self.n_nan:,}{of} observation{'s' * (bool(of) or self.n_nan != 1)} NaN" if self.n_nan else ""


def summarise_results(
    metadata: ResultMetadata, found: Sequence[Mapping[str, Any]], n_lacking: int = 0, level: float = 0.95
) -> OverRuns:
    """Summarise a measure over runs.

    Args:
        metadata: The measure.
        found: The result of each replicate, as the fields of a ScalarResult.
        n_lacking: Number of replicates without this result.
        level: Coverage of the interval over runs.
    """
    errors = [known_error(fields["error"], fields["n"]) for fields in found]
    is_single = len(found) == 1 and is_proportion(metadata.kind, found[0])
    summary = summarise([fields["mean"] for fields in found], level)
    finite = [fields for fields in found if math.isfinite(fields["mean"])]  # of others NaNs were not left out
    counts, n_nan = [fields["n"] for fields in finite], sum(fields["n_nan"] for fields in finite)
    return OverRuns(
        summary,
        math.hypot(*errors) / math.sqrt(len(errors)) if errors else math.nan,
        sum(not math.isfinite(fields["mean"]) for fields in found),
        n_lacking,
        n_nan,
        None if None in counts else sum(counts) + n_nan,
        (found[0]["mean"], found[0]["n"], found[0]["error"]) if is_single else None,
        unit_of(metadata, summary.mean),
    )


def over_runs_text(over: OverRuns, error: str = "ci", unit: Unit | None = None) -> str:
    """Return mean ± error over runs. The error is "unknown" for one run, or if all runs are equal.

    Args:
        over: The summary over runs.
        error: "ci" for half of the t interval, "se" for the standard error.
        unit: Print in this unit, such as that of the table; None for the unit that suits the mean.
    """
    summary, unit = over.summary, unit or over.unit
    if not math.isfinite(summary.mean) or not math.isnan(summary.error):
        return unit.mean_error(summary.mean, summary.half_width if error == "ci" else summary.error)
    # the error over runs is unknown, so the error within a run sets the digits
    why = f" ({_equal(summary.n)})" if summary.is_constant else ""
    return f"{unit.value(summary.mean, over.within_error)} ± unknown{why}"


def why_unknown(over: OverRuns) -> str:
    """Return why the error over runs is unknown, such as "one run"; "" if it is known."""
    summary = over.summary
    if not math.isnan(summary.error):
        return ""
    if over.n_not_finite:
        return f"{over.n_not_finite} of {summary.n} runs not finite"
    if summary.is_constant:
        return _equal(summary.n)
    return "one run" if summary.n == 1 else "no run"


def _equal(n: int) -> str:
    return "both runs are equal" if n == 2 else f"all {n} runs are equal"


def over_runs_numbers(over: OverRuns) -> dict[str, Any]:
    """Return the summary as plain numbers, under the names that the JSON and CSV formats use.

    ``wilson_low`` and ``wilson_high`` are the ends of Wilson's interval of a single run's proportion, at the level of
    the interval over runs; elsewhere NaN. ``why_error_unknown`` is "" where the error over runs is known.
    """
    summary = over.summary
    wilson = (math.nan, math.nan) if over.proportion is None else interval_of(*over.proportion, summary.level)
    return {
        "n_runs": summary.n,
        "mean": summary.mean,
        "standard_error": summary.error,
        "ci_low": summary.ci_low,
        "ci_high": summary.ci_high,
        "why_error_unknown": why_unknown(over),
        "within_run_error": over.within_error,
        "wilson_low": wilson[0],
        "wilson_high": wilson[1],
        "n_runs_not_finite": over.n_not_finite,
        "n_runs_lacking": over.n_lacking,
        "n_observations_nan": over.n_nan,
    }
