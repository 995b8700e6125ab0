"""The shares of failed runs of two groups, also where one group has no finished run and so nothing else to compare."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from results.comparison.findings import Failures
from results.groups import Group


@frozen
class OnlyFailures:
    """Two groups that can be compared only by their shares of failed runs: at least one has no finished run.

    Attributes:
        a: The first group.
        b: The second group.
        failures: How many runs of each failed, and Fisher's test.
    """

    a: Group
    b: Group
    failures: Failures


def only_failures(groups: Sequence[Group], level: float = 0.95) -> list[OnlyFailures]:
    """Return the shares of failures for each pair of the first group and another in which only they can be compared."""
    first = groups[0]
    return [
        OnlyFailures(first, other, compare_failures(first, len(first.failed), other, len(other.failed), level))
        for other in groups[1:]
        if (_only_failed(first) and _has_experiments(other)) or (_only_failed(other) and _has_experiments(first))
    ]


def compare_failures(a: Group, failed_a: int, b: Group, failed_b: int, level: float = 0.95) -> Failures:
    """Compare the shares of failed runs by Fisher's exact test.

    Args:
        a: The first group.
        failed_a: Its failed runs, including finished ones without a finite result.
        b: The second group.
        failed_b: Its failed runs.
        level: Coverage of the intervals of the shares.
    """
    from results.statistics.failures import failure_shares

    counts = [len(group.replicates) + len(group.failed) for group in (a, b)]
    shares = failure_shares(failed_a, counts[0], failed_b, counts[1], level)
    return Failures(shares.failed_a, shares.n_a, shares.failed_b, shares.n_b, shares.p_value)


def _only_failed(group: Group) -> bool:
    return bool(group.failed) and not group.replicates


def _has_experiments(group: Group) -> bool:
    return bool(group.failed or group.replicates)
