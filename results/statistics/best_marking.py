"""Whether the row with the best mean is significantly better than every other row.

The leading row is selected by the data. Still, no correction for the number of rows is needed: a row is marked only if
its difference to *every* other row is significant. A false mark is most likely if two rows share the best true mean and
the others are far behind, which is a comparison of two rows. Therefore each comparison is tested two-sided at 1 -
level, and with more rows a false mark becomes rarer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.statistics.intervals import ROUNDING, scale_of, welch_df

Array = NDArray[np.float64]


class BestRow(NamedTuple):
    """The row with the best mean in each experiment, and whether it is significantly better than the others.

    Each field is an array with one element per experiment (0-d for one).

    Attributes:
        leader: The row with the best mean; -1 where none leads (two equal best means, or a mean that is not finite).
        p_value: The largest two-sided p-value of the leading row against another; NaN where one cannot be tested.
        is_marked: Whether that is below 1 - level.
    """

    leader: NDArray[np.int64]
    p_value: Array
    is_marked: NDArray[np.bool_]


def best_row(
    rows: Sequence[ArrayLike], *, higher_is_better: bool, paired: bool = False, level: float = 0.95
) -> BestRow:
    """Find the row with the best mean and say whether its difference to every other row is significant.

    Args:
        rows: Two rows or more, each of shape ``(..., n)`` with one element per replicate; rows may differ in n.
        higher_is_better: The good direction.
        paired: The i-th replicates of all rows belong together (one seed); else Welch's test is taken.
        level: A row that is not the only best is marked in at most 1 - level of experiments.

    Returns:
        Without two replicates in every row, or without any spread between two rows, no row is marked.

    Raises:
        ValueError: Fewer than two rows, or ``paired`` with rows of different n.

    Source: Gutmann and Maymin 1987, "Is the selected population the best?", Annals of Statistics 15. It is an
    intersection-union test (Berger 1982), which needs no correction for the number of rows.
    """
    values = [np.asarray(row, dtype=float) for row in rows]
    if len(values) < 2:
        raise ValueError(f"the best of several rows needs two rows or more, got {len(values)}")
    if paired and len({row.shape for row in values}) > 1:
        raise ValueError(f"pairs need a partner in every row, got shapes {[row.shape for row in values]}")
    with np.errstate(all="ignore"):
        means = np.stack(
            [row.mean(axis=-1) if row.shape[-1] else np.full(row.shape[:-1], np.nan) for row in values], -1
        )
    score = means if higher_is_better else -means
    scale = scale_of(max(float(np.max(np.abs(row), initial=0.0)) for row in values))
    if scale != 1:  # squares of tiny and of huge values
        values, means = [row / scale for row in values], means / scale
    # A NaN counts as the largest here; `leads` below then refuses it.
    index = np.argmax(score, axis=-1)
    others = np.arange(len(values)) != index[..., None]
    p_values = _paired_p(np.stack(values, -2), index) if paired else _welch_p(values, means, index)
    largest = np.max(np.where(others, p_values, 0.0), axis=-1)  # NaN where any comparison is unknown
    leads = np.isfinite(means).all(axis=-1) & (np.sum(score == score.max(axis=-1, keepdims=True), axis=-1) == 1)
    return BestRow(np.where(leads, index, -1), largest, leads & (largest < 1 - level))


def _paired_p(values: Array, index: NDArray[np.int64]) -> Array:
    """Return the two-sided p-value of the leading row's differences to each row, shape ``(..., k)``."""
    n = values.shape[-1]
    differences = np.take_along_axis(values, index[..., None, None], axis=-2) - values
    if n < 2:
        return np.full(differences.shape[:-1], np.nan)
    with np.errstate(all="ignore"):
        error = np.std(differences, axis=-1, ddof=1) / np.sqrt(n)
        largest = np.max(np.abs(values), axis=-1)
        leading = np.take_along_axis(largest, index[..., None], axis=-1)
        return _two_sided_p(
            np.mean(differences, axis=-1), error, np.full_like(error, n - 1), np.maximum(largest, leading)
        )


def _welch_p(values: Sequence[Array], means: Array, index: NDArray[np.int64]) -> Array:
    """Return the two-sided p-value of Welch's test of the leading row against each row, shape ``(..., k)``."""
    counts = np.array([row.shape[-1] for row in values])
    if counts.min() < 2:
        return np.full(means.shape, np.nan)
    with np.errstate(all="ignore"):
        errors = np.stack([np.std(row, axis=-1, ddof=1) / np.sqrt(row.shape[-1]) for row in values], -1)
        leading = index[..., None]
        mean, error = (np.take_along_axis(part, leading, axis=-1) for part in (means, errors))
        df = welch_df(error, counts[leading], errors, counts)
        largest = np.stack([np.max(np.abs(row), axis=-1) for row in values], -1)
        largest = np.maximum(largest, np.take_along_axis(largest, leading, axis=-1))
        return _two_sided_p(mean - means, np.hypot(error, errors), df, largest)


def _two_sided_p(difference: Array, error: Array, df: Array, largest: Array) -> Array:
    """Return Student's p-value; NaN where nothing varies, since a spread of 0 over few runs is not to be believed.

    Nor is a spread that rounding explains: ``largest`` is the largest absolute value of the two rows.
    """
    from scipy.special import stdtr

    return np.where(error > ROUNDING * largest, 2 * stdtr(df, -np.abs(difference) / error), np.nan)
