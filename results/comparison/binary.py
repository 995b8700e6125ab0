"""Two single runs whose samples are right or wrong: their counts, and the score test of the two shares."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from results.statistics.intervals import Difference
from results.statistics.two_proportions import (
    Counts,
    PairedCounts,
    SeparateCounts,
    score_error,
    score_interval,
    score_p_value,
)
from results.text.proportions import is_proportion

NEAR = 1e-6  # a mean that was written as text is no exact fraction


def paired_counts(kinds: Collection[str], a: Sequence[float], b: Sequence[float]) -> PairedCounts | None:
    """Return the counts of pairs; None unless each value is 0 or 1, and some pair differs.

    Nor are there counts unless a run recorded the kind "proportion"; that it was one of two is enough.
    """
    if "proportion" not in kinds or not {*a, *b} <= {0.0, 1.0} or list(a) == list(b):
        return None
    pairs = list(zip(a, b, strict=True))
    return PairedCounts(sum(x > y for x, y in pairs), sum(x < y for x, y in pairs), len(pairs))


def separate_counts(kinds: Collection[str], a: Mapping[str, Any], b: Mapping[str, Any]) -> SeparateCounts | None:
    """Return the counts of two results; None unless both are shares of samples that are right or wrong.

    Args:
        kinds: The kind of each result. That one run recorded a proportion is enough, so that the order of A and B does
            not matter.
        a: The result of A, as the fields of a ScalarResult.
        b: That of B.
    """
    kind = "proportion" if "proportion" in kinds else "mean"
    right_a, right_b = right_samples(kind, a), right_samples(kind, b)
    return None if right_a is None or right_b is None else SeparateCounts(right_a, a["n"], right_b, b["n"])


def score_difference(counts: Counts, level: float) -> Difference:
    """Return the difference of the two shares, as the score test sees it; its statistic is normal, so df is infinite.

    The interval is not symmetric. The error is half the width of the 68% interval.
    """
    ends = score_interval(counts, level)
    parts = (counts.difference, score_error(counts), *ends, math.inf, score_p_value(counts))
    return Difference(*map(_array, parts))


def _array(value: float) -> Any:
    import numpy as np

    return np.asarray(value, dtype=float)


def right_samples(kind: str, fields: Mapping[str, Any]) -> int | None:
    """Return how many samples are right; None if the values are not zeros and ones, or samples are not independent.

    Args:
        kind: The kind of the measure, as its metadata say.
        fields: The fields of its ScalarResult.
    """
    if not is_proportion(kind, fields) or fields["n_nan"] or fields["n_inf"]:
        return None
    mean, n, error = fields["mean"], fields["n"], fields["error"]
    right = round(mean * n)
    if abs(right - mean * n) > NEAR * max(1, n):
        return None
    # zeros and ones vary by this; other values in 0..1 vary less, and clustered errors are other errors
    expected = math.sqrt(mean * (1 - mean) / max(1, n - 1))
    is_binary = error is None or math.isnan(error) or math.isclose(error, expected, rel_tol=1e-3, abs_tol=1e-12)
    return right if is_binary else None
