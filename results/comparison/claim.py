"""Whether the runs of one group show that a measure lies below, or above, a line."""

from __future__ import annotations

import math
from typing import Any

from attrs import frozen

from core.config.errors import ConfigError
from core.runs.strict_json import dumps
from core.utils.results import ResultMetadata
from results.comparison.binary import right_samples
from results.comparison.clustered import clustered_result
from results.comparison.difference_text import p_text
from results.comparison.replicates import n_failed, over_survivors, survivors_in_order
from results.comparison.text import describe_group
from results.environments import mixed_environments
from results.groups import Group
from results.hidden_differences import mixed_text, mixed_weights_of
from results.measures import choose_measures
from results.over_runs import OverRuns, over_runs_text
from results.run import Run
from results.staleness import stale_in_group
from results.statistics.claim import ClaimTest, mean_claim, sequential_claim, share_claim
from results.text.durations import Unit, unit_of

SCHEMA = "pyml.claim/1"
CANNOT_TELL = "cannot tell"
OVER_SAMPLES = "t test over samples"
SEQUENTIAL = "sequential t test over runs"
EXACT = "exact binomial test over samples"


@frozen
class Claim:
    """A claim about a group's mean over runs, and its test.

    Attributes:
        group: The runs.
        metadata: The measure.
        label: Its short name.
        line: What the mean is claimed to be below (or above).
        below: Whether the claim is "below".
        over: The measure over the runs whose result is finite.
        n_failed: Runs with the status "failed", or whose result is not finite.
        method: "t test over runs", "sequential t test over runs", "t test over samples",
            "t test over samples, clustered", "exact binomial test over samples" (each right or wrong), or "none".
        test: The one-sided test.
        level: The claim is called shown, or false, wrongly in at most 1 - level of cases.
    """

    group: Group
    metadata: ResultMetadata
    label: str
    line: float
    below: bool
    over: OverRuns
    n_failed: int
    method: str
    test: ClaimTest
    level: float

    @property
    def stale(self) -> list[Run]:
        """The runs that do not count because their newest result is stale."""
        return self.group.stale_runs([self.metadata])

    @property
    def mixed(self) -> dict[str, dict[str, int]]:
        """What differs between the runs that count, such as the device or the weights, with the runs per value."""
        runs = self.group.replicates_with(self.metadata).values()
        return mixed_environments(runs) | mixed_weights_of([self.group], [self.metadata])

    @property
    def answer(self) -> str:
        """Return "shown", "shown to be false", or "cannot tell"."""
        if self.test.p_value < 1 - self.level:
            return "shown"
        return "shown to be false" if self.test.p_opposite < 1 - self.level else CANNOT_TELL


def make_claim(
    group: Group, pattern: str, line: float, *, below: bool, sequential: bool = False, level: float = 0.95
) -> Claim:
    """Test a claim about a group's mean over runs; of a single run, about the mean over its samples.

    Args:
        group: The runs.
        pattern: The measure's name or label.
        line: What the mean is claimed to be below, or above.
        below: Whether the claim is "below".
        sequential: Whether the claim is tested after every new run.
        level: Confidence level of the answer.

    Raises:
        ConfigError: The group has no finished run, or the pattern names no measure of it, or several.
    """
    if not group.replicates:
        states = ", ".join(f"{n} {state}" for state, n in group.left_out.items())
        raise ConfigError(f"{group.label}: no finished run to test a claim on ({states}).")
    chosen = choose_measures(group.measures(), [pattern])
    if len(chosen) > 1:
        raise ConfigError(f"--metric {pattern}: names {len(chosen)} measures ({', '.join(chosen.values())}); name one.")
    ((metadata, label),) = chosen.items()
    over = over_survivors(group, metadata, level)
    summary = over.summary
    if sequential:
        method = SEQUENTIAL
        test = sequential_claim(survivors_in_order(group, metadata), line, below=below, level=level)
    elif summary.n > 1:
        method = "t test over runs"
        test = mean_claim(summary.mean, summary.error, summary.n - 1, line, below=below, level=level)
    else:
        method, test = _over_samples(group, metadata, line, below, level)
    if math.isnan(test.p_value):
        method = "none"
    return Claim(group, metadata, label, line, below, over, n_failed(group, metadata), method, test, level)


def _over_samples(
    group: Group, metadata: ResultMetadata, line: float, below: bool, level: float
) -> tuple[str, ClaimTest]:
    """Test a single run, which stands for its own weights only: its mean over samples with the recorded error.

    If it kept cluster ids, the error is clustered instead. The share of samples that are right has an exact test.
    """
    runs = list(group.replicates_with(metadata).values())
    if len(runs) != 1:
        return "none", mean_claim(math.nan, math.nan, 0, line, below=below, level=level)
    if mean := clustered_result(runs[0], metadata):
        test = mean_claim(mean.mean, mean.error, mean.df, line, below=below, level=level)
        return f"{OVER_SAMPLES}, clustered", test
    found = runs[0].current_measures[metadata]
    if (right := right_samples(runs[0].recorded(metadata).kind, found)) is not None:
        return EXACT, share_claim(right, found["n"], line, below=below, level=level)
    df = (found["n"] or 0) - 1
    return OVER_SAMPLES, mean_claim(found["mean"], found["error"], df, line, below=below, level=level)


def claim_text(claim: Claim) -> str:
    """Return the claim, the answer, and the numbers and the test behind it."""
    side = "below" if claim.below else "above"
    mean = over_runs_text(claim.over, unit=_unit(claim))
    lines = [
        f"A: {claim.group.label}  ({describe_group(claim.group)})",
        "",
        f"{claim.label} {side} {_unit(claim).given(claim.line)}: {claim.answer}.",
        f"{claim.label} = {mean} over {_runs(claim.over.summary.n)}{_interval(claim)}.",
    ]
    if claim.method == "none":
        lines.append(_why_none(claim))
    else:
        limit = "at most" if claim.below else "at least"
        p = p_text(claim.test.p_value, claim.level)
        lines.append(
            f"At {100 * claim.level:g}% the mean is {limit} {_bound(claim)} "
            f"(one-sided {claim.method}, p {p if p.startswith('<') else f'= {p}'})."
        )
    return "\n".join([*lines, *_remarks(claim)])


def _remarks(claim: Claim) -> list[str]:
    """Return what the test speaks of, what it leaves out, and what its runs mix."""
    lines = []
    if claim.method.startswith((OVER_SAMPLES, EXACT)):
        lines.append("One run: this holds for this trained model, not for other seeds.")
    mean, bound = claim.over.summary.mean, claim.test.bound
    if claim.method == SEQUENTIAL and (bound < mean if claim.below else bound > mean):
        lines.append("Later runs differ from earlier ones: the mean lies outside the interval of all looks together.")
    if n := claim.n_failed:
        lines.append(f"{_runs(n)} failed and {_are(n)} left out: the mean is over those that did not.")
    if n := claim.over.n_lacking:
        lines.append(f"{_runs(n)} without a current result {_are(n)} left out.")
    if claim.over.nan_text:
        lines.append(f"{claim.over.nan_text} and left out.")
    if claim.stale:
        lines.append(stale_in_group("A", claim.label, claim.stale))
    if claim.mixed:
        lines.append(f"Mixed: {mixed_text(claim.mixed)}.")
    if claim.method == SEQUENTIAL and claim.answer == CANNOT_TELL:
        lines.append("You may add seeds and test again, as often as you like.")
    elif claim.method == "t test over runs":
        lines.append("Valid for one test, planned in advance. To test again after new seeds, use --sequential.")
    return lines


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _interval(claim: Claim) -> str:
    return "" if math.isnan(claim.over.summary.ci_low) else f" ({100 * claim.level:g}% t interval)"


def _why_none(claim: Claim) -> str:
    n = claim.over.summary.n
    if n == 0:
        return "No run has a finite result."
    if n == 1 and claim.over.within_error > 0 and claim.over.n_observations is None:
        return "One run, whose result does not say how many observations (n) its error rests on; run more seeds."
    if n == 1:
        return "One run, so the error over runs is unknown; run more seeds."
    if claim.over.summary.error > 0:  # of a sequential test
        return "No mean lies in the intervals of all looks, so the runs are not alike and show nothing."
    return "All runs gave the same value, so the error is unknown: look for a seed that is not used."


def _runs(n: int) -> str:
    return f"{n:,} run{'s' * (n != 1)}"


def _unit(claim: Claim) -> Unit:
    """Return the unit of all numbers of the claim: of a time, the one that suits the larger of mean and line."""
    return unit_of(claim.metadata, claim.over.summary.mean, claim.line)


def _bound(claim: Claim) -> str:
    bound, mean = claim.test.bound, claim.over.summary.mean
    errors = (claim.over.summary.error, claim.over.within_error, abs(mean - bound))
    return _unit(claim).value(bound, next((error for error in errors if error > 0), math.nan))


def claim_json(claim: Claim) -> str:
    """Return strict JSON: NaN (unknown) is null."""
    summary = claim.over.summary
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "group": claim.group.label,
        "runs": [run.id for run in claim.group.replicates.values()],
        "measure": claim.label,
        "claim": "below" if claim.below else "above",
        "line": claim.line,
        "answer": claim.answer,
        "method": claim.method,
        "n_runs": summary.n,
        "n_failed": claim.n_failed,
        "n_runs_lacking": claim.over.n_lacking,
        "n_observations_nan": claim.over.n_nan,
        "stale": [run.id for run in claim.stale],
        "mixed": claim.mixed,
        "mean": summary.mean,
        "standard_error": summary.error,
        "ci_low": summary.ci_low,
        "ci_high": summary.ci_high,
        "bound": claim.test.bound,
        "p_value": claim.test.p_value,
        "p_opposite": claim.test.p_opposite,
        "level": claim.level,
    }
    return dumps(content, indent=2)
