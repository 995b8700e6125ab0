"""Comparing groups of runs: each difference with its interval, and an answer that may be "cannot tell"."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
from attrs import field, frozen

from core.config.errors import ConfigError
from core.utils.results import ResultMetadata
from results.comparison.equivalent import EquivalenceAnswer
from results.comparison.findings import Findings
from results.comparison.matching import is_wanted, match_measures
from results.comparison.replicates import over_survivors
from results.comparison.significance import RUNS, ReplicateTest, choose_test
from results.groups import Group, OverRuns
from results.staleness import stale_in_group
from results.statistics.correction import holm
from results.statistics.power import detectable_difference, pairs_needed, runs_needed_per_group, sd_limits
from results.text.labels import is_time, measure_labels

CANNOT_TELL = "cannot tell"


@frozen
class Comparison:
    """What can be said of the difference A - B in one measure.

    Attributes:
        a: The first group.
        b: The second.
        metadata: The measure, as A has it.
        of_b: The measure, as B has it.
        label: Its short name.
        over_a: A's mean over runs.
        over_b: B's.
        test: The test of the difference.
        level: Coverage of its interval; an answer errs in 1 - level at most.
        p_adjusted: After Holm's correction over all comparisons that were made at once; NaN where there is no test.
        note: What differs though it may be compared, such as the sampler's steps; or "".
        findings: What :mod:`results.comparison.examine` saw beside the test: skew, failed runs, ...
        equivalence: Whether the difference is too small to matter, if that was asked for.
    """

    a: Group
    b: Group
    metadata: ResultMetadata
    of_b: ResultMetadata
    label: str
    over_a: OverRuns
    over_b: OverRuns
    test: ReplicateTest
    level: float
    p_adjusted: float = math.nan
    note: str = ""
    findings: Findings = field(factory=Findings)
    equivalence: EquivalenceAnswer | None = None

    @property
    def is_resolved(self) -> bool:
        """Whether the data show a difference, after the correction for the number of comparisons."""
        return self.p_adjusted < 1 - self.level

    @property
    def is_identical(self) -> bool:
        """Whether there is no difference at all in any replicate."""
        return self.test.error == 0 and self.test.difference == 0

    @property
    def winner(self) -> str | None:
        """Return "A" or "B": the better one, or the higher one where no direction is good; None if it is open."""
        if not self.is_resolved:
            return None
        higher, lower = ("A", "B") if self.test.difference > 0 else ("B", "A")
        return lower if self.metadata.higher_is_better is False else higher

    @property
    def answer(self) -> str:
        """Return "A is better", "B is higher", "equivalent within ± 0.01", "no difference at all", or "cannot tell"."""
        if self.equivalence is None or not self.equivalence.is_shown:
            return self._difference_answer
        equivalent = f"equivalent within ± {self.equivalence.margin:g}"
        return f"{self._difference_answer}, but {equivalent}" if self.is_resolved else equivalent

    @property
    def _difference_answer(self) -> str:
        if self.is_identical:
            return "no difference at all"
        if self.winner is None:
            return CANNOT_TELL
        better = "higher" if self.metadata.higher_is_better is None else "better"
        return f"{self.winner} is {better}{'' if self.test.unit == RUNS else ' (these two runs)'}"

    @property
    def detectable(self) -> float:
        """The smallest true difference that this many replicates would have shown with 80% power, at this spread.

        NaN of a robust or sequential test, whose power is another.
        """
        if not self.findings.is_t_test:
            return math.nan
        return detectable_difference(self.test.error, self.test.df, alpha=1 - self.level)

    def runs_needed(self, delta: float) -> tuple[float, float, float]:
        """Return the number of runs per group for 80% power at a true difference of ``delta``.

        Returns:
            The number at the spread that was seen, and at the ends of that spread's 80% chi-square interval: few runs
            know their own spread badly. NaN where the spread over runs is unknown.
        """
        if self.test.unit != RUNS:
            return math.nan, math.nan, math.nan
        factors = (1.0, *sd_limits(1.0, self.test.df))
        return tuple(self._runs_needed(delta, factor) for factor in factors)  # type: ignore[return-value]

    def excludes(self, delta: float) -> bool:
        """Whether the interval lies within ± delta: a difference of that size is ruled out."""
        return -abs(delta) < self.test.ci_low and self.test.ci_high < abs(delta)

    def _runs_needed(self, delta: float, factor: float) -> float:
        alpha = 1 - self.level
        if self.test.is_paired:
            return pairs_needed(delta, factor * self.test.error * math.sqrt(self.test.n_a), alpha=alpha)
        return runs_needed_per_group(delta, factor * self.test.sd_a, factor * self.test.sd_b, alpha=alpha)


def compare_groups(
    groups: Sequence[Group],
    patterns: Sequence[str] = (),
    method: str = "auto",
    level: float = 0.95,
) -> tuple[list[Comparison], list[str]]:
    """Compare the first group with each of the others in every measure they share.

    Args:
        groups: Two or more; no run may be in two of them.
        patterns: Measures by name, in which * stands for anything; none takes all but the times.
        method: "auto", or the test to take, see :func:`results.comparison.significance.choose_test`.
        level: Coverage of the intervals. The answers, corrected by Holm's method, err in 1 - level of all calls.

    Returns:
        The comparisons, and why measures of one name were not compared.

    Raises:
        ConfigError: Nothing can be compared, a measure asked for least of all; the message says why.
    """
    _check_distinct(groups)
    made, refused = [], []
    for other in groups[1:]:
        matched, reasons = match_measures(groups[0], other, patterns)
        refused += [f"{reason} ({other.label})" if len(groups) > 2 else reason for reason in reasons]
        for pair in matched:
            test = choose_test(groups[0], other, pair.of_a, pair.of_b, method, level)
            over = over_survivors(groups[0], pair.of_a, level), over_survivors(other, pair.of_b, level)
            measure = pair.of_a, pair.of_b, pair.label
            made.append(Comparison(groups[0], other, *measure, *over, test, level, note=pair.note))
    refused += [line for side, group in sides(groups) for line in _stale_lines(side, group, patterns)]
    if not made:
        raise ConfigError(*refused or ["nothing to compare: the groups have no measure in common."])
    # what is equal in every run, such as a floor that no model can change, was never open: Holm need not pay for it
    adjusted = holm([math.nan if one.is_identical else one.test.p_value for one in made])
    return [attrs.evolve(one, p_adjusted=p) for one, p in zip(made, adjusted, strict=True)], refused


def sides(groups: Sequence[Group]) -> list[tuple[str, Group]]:
    """Return the groups with their names: A, and B or the labels of several."""
    others = [("B", groups[1])] if len(groups) == 2 else [(group.label, group) for group in groups[1:]]
    return [("A", groups[0]), *others]


def _stale_lines(side: str, group: Group, patterns: Sequence[str]) -> list[str]:
    runs = {m: group.stale_runs([m]) for m in dict.fromkeys(m for run in group.runs for m in run.stale)}
    labels = measure_labels(runs)
    return [
        stale_in_group(side, labels[metadata], found)
        for metadata, found in runs.items()
        if found and (is_wanted(labels[metadata], metadata.name, patterns) if patterns else not is_time(metadata))
    ]


def _check_distinct(groups: Sequence[Group]) -> None:
    seen: dict[str, str] = {}
    for group in groups:
        if not group.replicates:
            states = ", ".join(f"{n} {state}" for state, n in group.left_out.items())
            raise ConfigError(f"{group.label}: no finished run to compare ({states}).")
        for run in group.runs:
            if run.id in seen:
                raise ConfigError(f"run {run.id} is in both {seen[run.id]!r} and {group.label!r}; compare others.")
            seen[run.id] = group.label
