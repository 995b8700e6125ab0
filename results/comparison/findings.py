"""Findings of a comparison besides its test: shape, pairing, failures, the two-level estimate, and other tests."""

from __future__ import annotations

from typing import Any

import attrs
from attrs import field, frozen

from results.comparison.analysis import Looks, RobustFinding
from results.comparison.clustered import Clusters
from results.statistics.shape import Shape


@frozen
class Pairing:
    """The effect of pairing over seeds on the interval.

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
class TwoLevels:
    """The difference A - B over new seeds and new samples, and where its variance comes from.

    Attributes:
        n_a: Seeds of A (of pairs: pairs).
        n_b: Seeds of B.
        n_samples: Samples that every run has a value of.
        difference: A - B over these samples.
        error: Its standard error over seeds and samples.
        ci_low: Lower end of its interval.
        ci_high: Upper end.
        p_value: Two-sided, by itself.
        from_seeds: Share of the variance that comes from the seeds; the shares add to 1.
        from_samples: From the samples.
        from_both: From seed and sample together, and noise.
        more_helps: "more seeds" or "more samples": twice as many of them lowers the error more.
        n_clusters: Clusters of the samples, if every run kept the same ones; the error then allows for them.
        means_agree: Whether the mean over the values that a run kept is its result, for every run.
    """

    n_a: int
    n_b: int
    n_samples: int
    difference: float
    error: float
    ci_low: float
    ci_high: float
    p_value: float
    from_seeds: float
    from_samples: float
    from_both: float
    more_helps: str
    n_clusters: int | None = None
    means_agree: bool = True


@frozen
class Findings:
    """The findings besides the test; None if one does not apply or was not asked for.

    Attributes:
        shapes: By "A" and "B", or "A - B" for pairs: whether the replicates look skewed or have an outlier.
        outliers: The same keys: the seed of the outlier.
        pairing: The effect of pairing on the interval.
        failures: None where no run failed.
        robust: Medians, ranks and permutations.
        looks: The looks of a sequential test.
        levels: Seeds and samples together, if every run kept its values per sample.
        clusters: Clusters of the samples of two single runs.
    """

    shapes: dict[str, Shape] = field(factory=dict)
    outliers: dict[str, Any] = field(factory=dict)
    pairing: Pairing | None = None
    failures: Failures | None = None
    robust: RobustFinding | None = None
    looks: Looks | None = None
    levels: TwoLevels | None = None
    clusters: Clusters | None = None

    @property
    def is_t_test(self) -> bool:
        """Whether the answer is that of a single t test."""
        return self.robust is None and self.looks is None


def findings_json(findings: Findings) -> dict[str, Any]:
    """Return the findings as plain data: numbers in full, NaN where unknown, None where something does not apply."""
    return attrs.asdict(findings)
