"""The share of runs that failed, compared between two groups."""

from __future__ import annotations

from typing import NamedTuple

from results.statistics.proportions import wilson_interval


class FailureShares(NamedTuple):
    """The failed runs of two groups, with Wilson's intervals of their shares and Fisher's exact test.

    Attributes:
        failed_a: Failed runs of A.
        n_a: Failed and finished runs of A.
        failed_b: Failed runs of B.
        n_b: Failed and finished runs of B.
        interval_a: Wilson's interval of A's share of failures; NaN where there is no run.
        interval_b: B's.
        p_value: Two-sided; NaN where a group has no run.
    """

    failed_a: int
    n_a: int
    failed_b: int
    n_b: int
    interval_a: tuple[float, float]
    interval_b: tuple[float, float]
    p_value: float


def failure_shares(failed_a: int, n_a: int, failed_b: int, n_b: int, level: float = 0.95) -> FailureShares:
    """Compare how often the runs of two groups fail.

    Args:
        failed_a: Failed runs of A.
        n_a: Failed and finished runs of A.
        failed_b: Failed runs of B.
        n_b: Failed and finished runs of B.
        level: Coverage of the two intervals, in (0, 1).

    Raises:
        ValueError: More runs failed than there are, or a count is negative.

    Source: Fisher 1935, "The logic of inductive inference": the exact test given both margins. For few runs its error
    rate is below the nominal one: with five runs each, p is below 5% only from 4 failures against none on.
    """
    from scipy import stats

    interval_a, interval_b = (wilson_interval(k, n, level) for k, n in ((failed_a, n_a), (failed_b, n_b)))
    p_value = float("nan")
    if n_a and n_b:  # SciPy's answer for an empty row is 1, which reads like a finding
        p_value = float(stats.fisher_exact([[failed_a, n_a - failed_a], [failed_b, n_b - failed_b]]).pvalue)
    ends = [(float(interval.ci_low), float(interval.ci_high)) for interval in (interval_a, interval_b)]
    return FailureShares(failed_a, n_a, failed_b, n_b, ends[0], ends[1], p_value)
