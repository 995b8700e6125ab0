"""Comparing groups of runs: each difference with its interval, and an answer that may be "cannot tell"."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from core.config.errors import ConfigError, unknown_name
from core.utils.results import ResultMetadata
from core.utils.tables import html_pairs
from results.comparison.difference_text import difference_with_interval, p_text
from results.comparison.equivalent import EquivalenceAnswer
from results.comparison.findings import Findings
from results.comparison.matching import PRIMARY, MatchedMeasure, match_measures
from results.comparison.measured import Measured, compared_values, measured
from results.comparison.significance import RUNS, ReplicateTest, choose_test
from results.groups import Group
from results.measures import is_wanted
from results.over_runs import OverRuns, over_runs_text
from results.staleness import stale_in_group
from results.statistics.power import detectable_difference, pairs_needed, runs_needed_per_group, sd_limits
from results.text.durations import unit_of
from results.text.labels import is_time, measure_labels

CANNOT_TELL = "cannot tell"
NOT_TESTED = "not tested"


@frozen
class Comparison:
    """What can be said of the difference A - B in one measure.

    The answer, the interval and the detectable difference are one statement: all of them are at ``test_level``, so the
    interval excludes 0 exactly if the answer is better, worse, higher or lower.

    Attributes:
        a: The first group.
        b: The second.
        metadata: The measure, as A has it.
        of_b: The measure, as B has it.
        label: Its short name.
        over_a: A's mean over the runs that were compared.
        over_b: B's.
        test: The test of the difference, with its interval at ``test_level``.
        level: All answers of one call hold together with at least this probability.
        measured_a: The results of A that were chosen.
        measured_b: Those of B.
        in_family: Whether the measure gets an answer. Parts and references do not, unless they are asked for.
        n_family: Number of answers of the call: the comparisons of the family that can be tested.
        values_a: The values of A's runs that were compared, by seed where it is known; in the order of the pairs, or
            of the runs.
        values_b: Those of B.
        higher_is_better: The good direction, or None if neither group's metadata names one.
        role: "primary", "part" or "reference", as the metadata of either group say.
        note: What a reader must know of the measure, such as different sampler steps; or "".
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
    measured_a: Measured
    measured_b: Measured
    in_family: bool = True
    n_family: int = 1
    values_a: Mapping[Any, float] = field(factory=dict)
    values_b: Mapping[Any, float] = field(factory=dict)
    higher_is_better: bool | None = None
    role: str = PRIMARY
    note: str = ""
    findings: Findings = field(factory=Findings)
    equivalence: EquivalenceAnswer | None = None

    @property
    def test_level(self) -> float:
        """The coverage of this interval by itself: Bonferroni's 1 - (1 - level) / n_family within the family."""
        return level_of_each(self.level, self.n_family) if self.in_family else self.level

    @property
    def p_adjusted(self) -> float:
        """The p-value after Bonferroni's correction for the family; NaN without a test or an answer."""
        p = self.test.p_value * self.n_family
        return math.nan if math.isnan(p) or not self.in_family else min(1.0, p)

    @property
    def is_resolved(self) -> bool:
        """Whether the data show a difference, after the correction for the number of answers."""
        return self.p_adjusted < 1 - self.level

    @property
    def is_identical(self) -> bool:
        """Whether there is no difference at all in any replicate."""
        return self.test.is_identical

    @property
    def winner(self) -> str | None:
        """Return "A" or "B": the better one, or the higher one if no direction is good; None if it is open."""
        if not self.is_resolved:
            return None
        higher, lower = ("A", "B") if self.test.difference > 0 else ("B", "A")
        return lower if self.higher_is_better is False else higher

    @property
    def answer(self) -> str:
        """Return "A is better", "B is higher", "equivalent within ± 0.01", "no difference at all", "cannot tell", or
        "not tested".
        """
        if not self.in_family:
            return NOT_TESTED
        if self.equivalence is None or not self.equivalence.is_shown:
            return self._difference_answer
        unit = unit_of(self.metadata, self.over_a.summary.mean, self.over_b.summary.mean)
        equivalent = f"equivalent within ± {unit.value(self.equivalence.margin)}"
        return f"{self._difference_answer}, but {equivalent}" if self.is_resolved else equivalent

    @property
    def _difference_answer(self) -> str:
        if self.is_identical:
            return "no difference at all"
        if self.winner is None:
            return CANNOT_TELL
        better = "higher" if self.higher_is_better is None else "better"
        return f"{self.winner} is {better}{'' if self.test.unit == RUNS else ' (these two runs)'}"

    @property
    def detectable(self) -> float:
        """The smallest true difference that so many replicates detect with 80% power, at this spread and this level.

        NaN for a robust or sequential test, whose power is another.
        """
        if not self.findings.is_t_test:
            return math.nan
        return detectable_difference(self.test.error, self.test.df, alpha=1 - self.test_level)

    def runs_needed(self, delta: float) -> tuple[float, float, float]:
        """Return the number of runs per group for 80% power at a true difference of ``delta``.

        Returns:
            The number at the observed spread, and at the ends of that spread's 80% chi-square interval: the spread of
            few runs is itself uncertain. NaN if the spread over runs is unknown.
        """
        if self.test.unit != RUNS or math.isnan(self.test.error):
            return math.nan, math.nan, math.nan
        factors = (1.0, *sd_limits(1.0, self.test.df))
        return tuple(self._runs_needed(delta, factor) for factor in factors)  # type: ignore[return-value]

    def excludes(self, delta: float) -> bool:
        """Return whether the interval lies within ± delta, which rules out a difference of that size."""
        return -abs(delta) < self.test.ci_low and self.test.ci_high < abs(delta)

    def _runs_needed(self, delta: float, factor: float) -> float:
        alpha = 1 - self.test_level
        if self.test.is_paired:
            return pairs_needed(delta, factor * self.test.error * math.sqrt(self.test.n_a), alpha=alpha)
        return runs_needed_per_group(delta, factor * self.test.sd_a, factor * self.test.sd_b, alpha=alpha)

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        unit = unit_of(self.metadata, self.over_a.summary.mean, self.over_b.summary.mean)
        shown = {
            "measure": self.label,
            f"A: {self.a.label}": over_runs_text(self.over_a, unit=unit),
            f"B: {self.b.label}": over_runs_text(self.over_b, unit=unit),
            f"A - B [{100 * self.test_level:g}%]": difference_with_interval(self.test, unit),
            "p": p_text(self.p_adjusted),
            "answer": self.answer,
        }
        return html_pairs(shown)


def level_of_each(level: float, n: int) -> float:
    """Return the coverage of each of n intervals that hold together with probability ``level`` (Bonferroni)."""
    return 1 - (1 - level) / max(n, 1)


def compare_groups(
    groups: Sequence[Group],
    patterns: Sequence[str] = (),
    method: str = "auto",
    level: float = 0.95,
    *,
    primary: Sequence[str] = (),
    ignore: Collection[str] = (),
) -> tuple[list[Comparison], list[str]]:
    """Compare the first group with each of the others in every measure they share.

    The family of answers are the measures that ``primary`` names; else those that ``patterns`` names; else those whose
    metadata call them primary. Its intervals are simultaneous (Bonferroni). Holm's method would resolve a little more,
    but it has no simultaneous intervals that agree with its answers.

    Args:
        groups: Two or more; no run may be in two of them.
        patterns: Measures by name or label, in which * stands for any text; none takes all but the times.
        method: "auto", or the test to take, see :func:`results.comparison.significance.choose_test`.
        level: All answers hold together with at least this probability.
        primary: Measures that get an answer, by name or label, in which * stands for any text.
        ignore: Metadata that may differ between the groups: "n_samples".

    Returns:
        The comparisons, those with an answer first, and why some measures or results were left out.

    Raises:
        ConfigError: Nothing can be compared, or none of the measures asked for; the message says why.
    """
    _check_distinct(groups)
    made, refused = [], []
    for other in groups[1:]:
        matched, reasons = match_measures(groups[0], other, patterns, ignore, primary)
        refused += [f"{reason} ({other.label})" if len(groups) > 2 else reason for reason in reasons]
        made += [_compared(groups[0], other, pair, method, level) for pair in matched]
    refused += [line for side, group in sides(groups) for line in _stale_lines(side, group, patterns)]
    if not made:
        raise ConfigError(*refused or ["nothing to compare: the groups have no measure in common."])
    _check_known(primary, made, refused)
    return _with_family(made, patterns, primary), refused


def _compared(a: Group, b: Group, pair: MatchedMeasure, method: str, level: float) -> Comparison:
    of_a, of_b, note = measured(a, pair.of_a, b, pair.of_b)
    test = choose_test(of_a, of_b, method, level)
    values_a, values_b = compared_values(of_a, of_b, paired=test.method == "paired over seeds")
    mean_a, mean_b = test.sample_means or (None, None)
    over = of_a.over_runs(values_a, level, mean_a), of_b.over_runs(values_b, level, mean_b)
    notes = "; ".join(part for part in (pair.note, note) if part)
    return Comparison(
        a,
        b,
        pair.of_a,
        pair.of_b,
        pair.label,
        *over,
        test,
        level,
        of_a,
        of_b,
        values_a=values_a,
        values_b=values_b,
        higher_is_better=pair.higher_is_better,
        role=pair.role,
        note=notes,
    )


def _with_family(made: Sequence[Comparison], patterns: Sequence[str], primary: Sequence[str]) -> list[Comparison]:
    """Choose the comparisons that get an answer, and set their intervals to hold together."""
    if primary:
        chosen = [is_wanted(one.label, one.metadata.name, primary) for one in made]
    else:
        chosen = [bool(patterns) or one.role == PRIMARY for one in made]
    if not any(chosen):
        chosen = [True] * len(made)
    # a comparison without a p-value can get no answer, so it cannot get a wrong one
    n_family = sum(inside and not math.isnan(one.test.p_value) for one, inside in zip(made, chosen, strict=True))
    found = [
        attrs.evolve(one, in_family=inside, n_family=max(n_family, 1)) for one, inside in zip(made, chosen, strict=True)
    ]
    found = [attrs.evolve(one, test=one.test.at_level(one.test_level)) for one in found]
    return sorted(found, key=lambda one: not one.in_family)


def _check_known(primary: Sequence[str], made: Sequence[Comparison], refused: Sequence[str]) -> None:
    names = {name for one in made for name in (one.label, one.metadata.name)}
    for pattern in primary:
        if any(is_wanted(one.label, one.metadata.name, [pattern]) for one in made):
            continue
        reasons = [reason for reason in refused if is_wanted(name := reason.split(": ")[0], name, [pattern])]
        raise ConfigError(*reasons) if reasons else unknown_name("measure", pattern, names)


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
