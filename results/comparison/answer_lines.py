"""The answers of robust, sequential and equivalence tests, as lines of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from results.comparison.analysis import Looks, RobustFinding
from results.comparison.comparison import CANNOT_TELL, Comparison
from results.comparison.difference_table import row_unit
from results.comparison.equivalent import EquivalenceAnswer
from results.text.numbers import cut_at


def answer_lines(comparisons: Sequence[Comparison], delta: float | None = None) -> list[str]:
    """Return a line for each comparison that was answered by a test other than a single t test."""
    lines = []
    for one in comparisons:
        if one.findings.robust is not None:
            lines.append(f"{one.label}: {robust_text(one, one.findings.robust)}")
        if one.findings.looks is not None:
            lines.append(f"{one.label}: {looks_text(one, one.findings.looks, delta)}")
        if one.equivalence is not None:
            lines.append(f"{one.label}: {equivalence_text(one, one.equivalence)}")
    return lines


def answer_legend(one: Comparison) -> str:
    """Return what differs from the t test in the meaning of the numbers, or ""."""
    if one.findings.robust is not None:
        return (
            " A - B and its [ ] are interquartile means with percentile bootstrap intervals over runs; p is the rank "
            "test's; ± are means."
        )
    if one.findings.looks is not None:
        return " [ ] and p of A - B hold at every look together, for normal replicates (anytime-valid)."
    return ""


def robust_text(one: Comparison, found: RobustFinding) -> str:
    """Return the interquartile mean, the median, the permutation test and the probability of improvement."""
    better = "higher" if one.higher_is_better is None else "better"
    iqm, median = (
        f"{_signed(part.estimate, one)} {_ends(part.ci_low, part.ci_high, one)}" for part in (found.iqm, found.median)
    )
    chance = found.improvement
    ends = "[unknown]" if math.isnan(chance.ci_low) else f"[{chance.ci_low:.2f}, {chance.ci_high:.2f}]"
    return (
        f"IQM {iqm}; median {median}; permutation test of the means p = {found.permutation_p_value:.2g}; a run of A is "
        f"{better} than one of B with probability {chance.estimate:.2f} {ends}."
    )


def _signed(value: float, one: Comparison) -> str:
    """Cut a difference by the digits of its standard error, as the table does; of a time, name the unit."""
    unit = row_unit(one)
    return unit.named(cut_at(value / unit.scale, one.test.error / unit.scale, "+"))


def _ends(low: float, high: float, one: Comparison) -> str:
    return "[unknown]" if math.isnan(low) else f"[{_signed(low, one)}, {_signed(high, one)}]"


def looks_text(one: Comparison, looks: Looks, delta: float | None) -> str:
    """Return after how many pairs the answer was reached, and how many seeds a fixed plan for ``delta`` takes."""
    n = len(looks.p_values)
    first = looks.resolved_at(1 - one.level, one.n_family)
    if first is None or math.isnan(one.test.p_value):
        text = f"no difference shown after {n} pairs; you may add seeds and test again, as often as you like"
    elif first == n:
        text = f"difference shown, first with these {n} pairs"
    else:
        text = f"difference shown from {first} pairs on; {n - first} more runs of each group were not needed"
    if delta is None:
        return f"{text} (--detect DELTA compares with a fixed plan)."
    wanted = row_unit(one).given(delta)
    planned = one.runs_needed(delta)[0]
    if not math.isfinite(planned):
        return f"{text}."
    text += f"; a fixed plan to detect {wanted} with 80% power takes {int(planned):,} seeds of each group"
    if first is not None and first != planned:
        saved = int(planned) - first
        text += f": {abs(saved):,} {'saved' if saved > 0 else 'more than that were needed'}"
    return f"{text}."


def equivalence_text(one: Comparison, answer: EquivalenceAnswer) -> str:
    """Return the interval and the p-value of the equivalence test, and its answer."""
    within = f"within ± {row_unit(one).given(answer.margin)}"
    if math.isnan(answer.p_value):
        return f"equivalence {within} cannot be tested: the spread of the difference is unknown."
    p = f"p = {answer.p_adjusted:.2g}" if answer.p_adjusted >= 1e-4 else "p < 0.0001"
    interval = f"the {100 * answer.ci_level:.3g}% interval {_ends(answer.ci_low, answer.ci_high, one)}"
    if answer.is_shown:
        return f"equivalent {within}: {interval} lies inside (two one-sided tests, {p})."
    end = "; finding no difference does not show that there is none" if one.answer == CANNOT_TELL else ""
    return f"not shown to be equivalent {within}: {interval} reaches beyond (two one-sided tests, {p}){end}."
