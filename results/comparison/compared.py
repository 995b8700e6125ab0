"""The difference of two groups in one measure: the answer, the interval, and the detectable difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from core.utils.results import ResultMetadata, ResultSource
from core.utils.tables import html_pairs
from results.comparison.difference_text import difference_with_interval, p_text
from results.comparison.equivalent import EquivalenceAnswer
from results.comparison.findings import Findings
from results.comparison.matching import PRIMARY
from results.comparison.measured import Measured
from results.comparison.significance import RUNS, ReplicateTest
from results.groups import Group
from results.over_runs import OverRuns, over_runs_text
from results.run import Run
from results.statistics.power import detectable_difference, pairs_needed, runs_needed_per_group, sd_limits
from results.text.durations import unit_of

CANNOT_TELL = "cannot tell"
NOT_TESTED = "not tested"


@frozen
class Comparison:
    """The difference A - B in one measure, its interval and the answer.

    The answer, the interval and the detectable difference are one statement: all of them are at ``test_level``, so the
    interval excludes 0 if and only if the answer is better, worse, higher or lower.

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
        values_a: The values of A's runs that were compared, by seed where it is known; in the order of the pairs, or of
            the runs.
        values_b: Those of B.
        higher_is_better: The good direction, or None if neither group's metadata names one.
        role: "primary", "part" or "reference", as the metadata of either group say.
        note: What a reader must know of the measure, such as different sampler steps; or "".
        findings: What :mod:`results.comparison.examine` found besides the test: skew, failed runs, ...
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

    def measurements(self) -> list[tuple[Run, ResultSource | None]]:
        """Return the runs of both groups whose results were chosen, with what was measured."""
        return [*self.measured_a.measurements(), *self.measured_b.measurements()]

    @property
    def p_adjusted(self) -> float:
        """The p-value after Bonferroni's correction for the family; NaN without a test or an answer."""
        p = self.test.p_value * self.n_family
        return math.nan if math.isnan(p) or not self.in_family else min(1.0, p)

    @property
    def is_resolved(self) -> bool:
        """Whether the data show a difference, after the correction for the number of answers."""
        robust = self.findings.robust
        return self.p_adjusted < 1 - self.level and (robust is None or robust.agrees)

    @property
    def is_identical(self) -> bool:
        """Whether there is no difference at all in any replicate."""
        return self.test.is_identical

    @property
    def winner(self) -> str | None:
        """Return "A" or "B": the better one, or the higher one if no direction is good; None without a difference."""
        if not self.is_resolved:
            return None
        # the interval of all looks of a sequential test may lie on the other side of 0 than the mean of all pairs
        estimate = self.test.difference if self.findings.looks is None else self.test.ci_low
        higher, lower = ("A", "B") if estimate > 0 else ("B", "A")
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
        equivalent = f"equivalent within ± {unit.given(self.equivalence.margin)}"
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
        low, high = sd_limits(1.0, self.test.df)
        return self._runs_needed(delta, 1.0), self._runs_needed(delta, low), self._runs_needed(delta, high)

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
            "p": p_text(self.p_adjusted, self.level),
            "answer": self.answer,
        }
        return html_pairs(shown)


def level_of_each(level: float, n: int) -> float:
    """Return the coverage of each of n intervals that hold together with probability ``level`` (Bonferroni)."""
    return 1 - (1 - level) / max(n, 1)
