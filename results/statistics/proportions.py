"""Intervals for proportions: shares of successes, and means of values that lie in 0..1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class ProportionInterval(NamedTuple):
    """A proportion with Wilson's score interval; arrays of one shape, NaN where there were no trials."""

    proportion: Array
    ci_low: Array
    ci_high: Array


def wilson_interval(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> ProportionInterval:
    """Return Wilson's score interval of a proportion.

    Its width is never 0: 25 of 25 gives 0.867 to 1, while mean ± standard error would be 1 ± 0.

    Args:
        successes: Number of successes, from 0 to ``n``; of values that lie in 0..1, their sum. Such values vary less
            than counts of the same mean, so the interval is then wider than it need be, never narrower.
        n: Trials, or values; broadcast against ``successes``.
        level: Coverage of the interval, in (0, 1).

    Raises:
        ValueError: ``successes`` is not between 0 and ``n``, or ``level`` is not between 0 and 1.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
    """
    from scipy.special import ndtri  # scipy.stats would cost a second more

    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1 (such as 0.95), got {level}")
    k, trials = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(n, dtype=float))
    if not np.all((k >= 0) & (k <= trials)):
        raise ValueError(f"successes lie between 0 and n, got successes={k.tolist()}, n={trials.tolist()}")
    z2 = float(ndtri(0.5 + level / 2)) ** 2
    # The interval holds every p with |k/n - p| ≤ z·sqrt(p(1 - p)/n). The standard error is that at p, not at k/n, where
    # it would be 0 for k = 0 and k = n.
    with np.errstate(invalid="ignore"):  # 0/0 where there were no trials
        proportion = k / trials
        centre = (k + z2 / 2) / (trials + z2)
        half = np.sqrt(z2 * (k * (trials - k) / trials + z2 / 4)) / (trials + z2)
    # rounding may leave the ends a few 1e-17 beyond the exact 0 and 1
    low = np.where(k == 0, 0.0, np.maximum(centre - half, 0.0))
    high = np.where(k == trials, 1.0, np.minimum(centre + half, 1.0))
    none = trials == 0
    return ProportionInterval(proportion, np.where(none, np.nan, low), np.where(none, np.nan, high))
