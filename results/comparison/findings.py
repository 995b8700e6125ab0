"""What a strict reader asks of a comparison beyond its test: shape, pairing, failures, two levels, other tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
from attrs import field, frozen

from core.utils.results import ResultMetadata
from results.comparison.analysis import PLAIN, Analysis, Looks, RobustFinding, robust_test, sequential_test
from results.comparison.matching import MatchedMeasure
from results.comparison.replicates import Replicates, n_failed, survivors, tested_replicates
from results.comparison.significance import RUNS, ReplicateTest
from results.groups import Group
from results.statistics.intervals import paired_difference, t_quantile, welch_difference
from results.statistics.shape import Shape, shape_of


@frozen
class Pairing:
    """What pairing over seeds did for the interval.

    Attributes:
        correlation: Pearson's, between partners; NaN for fewer than three pairs, or without spread.
        width_ratio: Width of the interval without pairing over the width with it: above 1, pairing gained.
    """

    correlation: float
    width_ratio: float


@frozen
class Failures:
    """How many runs of each group failed, and whether the shares differ.

    Attributes:
        failed_a: Runs of A with the status "failed", or whose result is not finite.
        n_a: Failed and finished runs of A.
        failed_b: As of A.
        n_b: As of A.
        p_value: Of Fisher's exact test, two-sided.
    """

    failed_a: int
    n_a: int
    failed_b: int
    n_b: int
    p_value: float


@frozen
class Findings:
    """What was seen beside the test; None where it does not apply or was not asked for.

    Attributes:
        shapes: By "A" and "B", or "A - B" for pairs: whether the replicates look skewed or have an outlier.
        outliers: The same keys: the seed of the outlier.
        pairing: What pairing gained or lost.
        failures: None where no run failed.
        robust: Medians, ranks and permutations.
        looks: The looks of a sequential test.
    """

    shapes: dict[str, Shape] = field(factory=dict)
    outliers: dict[str, Any] = field(factory=dict)
    pairing: Pairing | None = None
    failures: Failures | None = None
    robust: RobustFinding | None = None
    looks: Looks | None = None

    @property
    def is_t_test(self) -> bool:
        """Whether the answer is that of a t test at one look."""
        return self.robust is None and self.looks is None


def find(
    a: Group, b: Group, pair: MatchedMeasure, test: ReplicateTest, level: float, analysis: Analysis = PLAIN
) -> tuple[ReplicateTest, Findings]:
    """Look at one measure of two groups, and at the replicates of its test where these are runs.

    Returns:
        The test that answers, which is another than ``test`` where that was asked for, and what else was seen.
    """
    failures = _failures(a, b, pair, level)
    if test.unit != RUNS or test.method == "none":
        return test, Findings(failures=failures)
    replicates = tested_replicates(a, b, pair.of_a, pair.of_b, paired=test.is_paired)
    if replicates.is_paired:
        rows: dict[str, tuple[Sequence[float], Sequence[Any]]] = {"A - B": (replicates.differences, replicates.seeds)}
    else:
        rows = {"A": _by_seed(a, pair.of_a), "B": _by_seed(b, pair.of_b)}
    shapes = {side: shape_of(values) for side, (values, _) in rows.items()}
    outliers = {side: rows[side][1][shape.outlier] for side, shape in shapes.items() if shape.outlier is not None}
    findings = Findings(shapes, outliers, pairing_of(replicates, level), failures)
    if analysis.robust:
        test, robust = robust_test(test, replicates, pair.of_a.higher_is_better, level)
        return test, attrs.evolve(findings, robust=robust)
    if analysis.sequential:
        test, looks = sequential_test(test, replicates, level)
        return test, attrs.evolve(findings, looks=looks)
    return test, findings


def _by_seed(group: Group, metadata: ResultMetadata) -> tuple[list[float], list[Any]]:
    found = survivors(group, metadata)
    return list(found.values()), list(found)


def pairing_of(replicates: Replicates, level: float) -> Pairing | None:
    """Return what pairing did; None where runs are not paired, or pairs or groups do not vary."""
    if not replicates.is_paired:
        return None
    import numpy as np

    paired = paired_difference(replicates.a, replicates.b, level)
    apart = welch_difference(replicates.a, replicates.b, level)
    if not (float(paired.error) > 0 and float(apart.error) > 0):
        return None
    widths = [float(t_quantile(level, found.df)) * float(found.error) for found in (apart, paired)]
    correlation = math.nan
    if len(replicates.a) > 2 and np.ptp(replicates.a) > 0 and np.ptp(replicates.b) > 0:
        correlation = float(np.corrcoef(replicates.a, replicates.b)[0, 1])
    return Pairing(correlation, widths[0] / widths[1])


def _failures(a: Group, b: Group, pair: MatchedMeasure, level: float) -> Failures | None:
    failed = n_failed(a, pair.of_a), n_failed(b, pair.of_b)
    if not any(failed):
        return None
    from results.statistics.failures import failure_shares

    counts = [len(group.replicates) + group.left_out.get("failed", 0) for group in (a, b)]
    shares = failure_shares(failed[0], counts[0], failed[1], counts[1], level)
    return Failures(shares.failed_a, shares.n_a, shares.failed_b, shares.n_b, shares.p_value)


def findings_json(findings: Findings) -> dict[str, Any]:
    """Return the findings as plain data: numbers in full, NaN where unknown, None where something does not apply."""
    return attrs.asdict(findings)
