"""Tests other than a single t test: robust ones, and one that may be repeated after every new seed."""

from __future__ import annotations

import math
import statistics

import attrs
from attrs import frozen

from results.comparison.replicates import Replicates
from results.comparison.significance import ReplicateTest
from results.statistics.effect_size import effect_size
from results.statistics.intervals import ROUNDING, summarise
from results.statistics.robust import (
    BootstrapInterval,
    bootstrap_difference,
    iqm,
    median,
    permutation_test,
    probability_of_improvement,
    rank_direction,
    rank_test,
    smallest_p,
)
from results.statistics.sequential import sequential_t_test


@frozen
class Analysis:
    """The analysis that was asked for beyond the t test; at most one of the three.

    Attributes:
        robust: Answer by ranks, and show interquartile means and medians with bootstrap intervals.
        sequential: Answer by a test that stays valid if it is repeated after every new seed.
        margin: Also answer "equivalent" where the difference lies within ± margin; in the measure's unit.
    """

    robust: bool = False
    sequential: bool = False
    margin: float | None = None


PLAIN = Analysis()


@frozen
class RobustFinding:
    """The results of the robust analysis: medians, ranks and permutations.

    Attributes:
        iqm: Difference of the interquartile means, with its bootstrap interval; of pairs, IQM of the differences.
        median: The same of medians.
        permutation_p_value: Of the difference of means.
        improvement: Probability that a run of A is better (or higher) than one of B, with its interval.
        smallest_p_value: The smallest p-value that so many runs can give, whatever their values are.
        agrees: Whether ranks and interquartile means point in the same direction. If they do not, the answer is
            "cannot tell".
    """

    iqm: BootstrapInterval
    median: BootstrapInterval
    permutation_p_value: float
    improvement: BootstrapInterval
    smallest_p_value: float
    agrees: bool = True


@frozen
class Looks:
    """The looks of a sequential test: the test after each new pair.

    Attributes:
        p_values: After the first, second, ... pair, each valid whenever one stops.
        planned_sd: Standard deviation of the pairs' differences, from which a fixed plan is computed.
    """

    p_values: tuple[float, ...]
    planned_sd: float

    def resolved_at(self, alpha: float, factor: float = 1.0) -> int | None:
        """Return the number of pairs after which ``factor`` times the p-value is below alpha; None if never."""
        return next((n for n, p in enumerate(self.p_values, start=1) if factor * p < alpha), None)


def robust_test(
    test: ReplicateTest, replicates: Replicates, higher_is_better: bool | None, level: float
) -> tuple[ReplicateTest, RobustFinding]:
    """Answer by Wilcoxon's signed-rank test of pairs, or the Mann-Whitney test, beside the difference of IQMs.

    Args:
        test: The t test of the same replicates; the answer keeps its sides and its note.
        replicates: One value per run of each group, and whether they are pairs by seed.
        higher_is_better: The good direction; None, for unknown, counts as True in the probability of improvement.
        level: Coverage of the intervals, in (0, 1).

    Returns:
        The answer, whose difference is that of the interquartile means, and the other robust findings.
    """
    a, b, paired = replicates.a, replicates.b, replicates.is_paired
    found = RobustFinding(
        bootstrap_difference(a, b, iqm, paired=paired, level=level),
        bootstrap_difference(a, b, median, paired=paired, level=level),
        permutation_test(a, b, paired=paired),
        probability_of_improvement(a, b, higher_is_better=higher_is_better is not False, level=level),
        smallest_p(len(a), len(b), paired=paired),
    )
    p_value = rank_test(a, b, paired=paired) if test.error > 0 else math.nan
    found = attrs.evolve(found, agrees=rank_direction(a, b, paired=paired) * found.iqm.estimate > 0)
    notes = [test.note]
    if found.smallest_p_value >= 1 - level:
        notes.append(f"so few runs cannot give a p-value below {found.smallest_p_value:.2g} by ranks")
    if p_value < 1 - level and not found.agrees:
        notes.append("the ranks differ, but the interquartile means do not point in the same direction")
    answer = attrs.evolve(
        test,
        method="paired over seeds, Wilcoxon's signed-rank test" if paired else "Mann-Whitney test over runs",
        difference=found.iqm.estimate,
        ci_low=found.iqm.ci_low,
        ci_high=found.iqm.ci_high,
        p_value=p_value,
        note="; ".join(filter(None, notes)),
    )
    return answer, found


def sequential_test(test: ReplicateTest, replicates: Replicates, level: float) -> tuple[ReplicateTest, Looks]:
    """Answer by an anytime-valid t test of pairs.

    Runs without partners by seed are paired in the order in which they were made, so that the two spreads may differ;
    the runs that one side has more wait for a partner.
    """
    n = min(len(replicates.a), len(replicates.b))
    a, b = replicates.a[:n], replicates.b[:n]
    differences = [x - y for x, y in zip(a, b, strict=True)]
    found = sequential_t_test(differences, level=level)
    over = summarise(differences, level)
    waiting = max(len(replicates.a), len(replicates.b)) - n
    low, high, p_value = float(found.ci_low[-1]), float(found.ci_high[-1]), float(found.p_value[-1])
    notes = [test.note, f"{waiting} without a partner yet" if waiting else ""]
    has_spread = over.error > ROUNDING * max(map(abs, (*a, *b)))
    if not has_spread:
        low = high = p_value = math.nan
    elif low > high:
        low = high = p_value = math.nan
        notes.append("no difference lies in the intervals of all looks, so the pairs are not alike and show nothing")
    elif not low <= over.mean <= high:
        notes.append("later pairs differ from earlier ones: their mean lies outside the interval of all looks together")
    answer = attrs.evolve(
        test,
        method="paired over seeds, sequential t test" if replicates.is_paired else "paired in order, sequential t test",
        n_a=n,
        n_b=n,
        difference=over.mean,
        error=over.error if has_spread else math.nan,
        df=float(n - 1),
        ci_low=low,
        ci_high=high,
        p_value=p_value,
        sd_a=statistics.stdev(a),
        sd_b=statistics.stdev(b),
        effect_size=effect_size(over.mean, statistics.stdev(a), n, statistics.stdev(b), n),
        note="; ".join(note for note in notes if note),
    )
    return answer, Looks(tuple(map(float, found.p_value)), over.error * math.sqrt(n))
