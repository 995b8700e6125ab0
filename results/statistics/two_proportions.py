"""Score tests and intervals of the difference of two proportions, of separate samples or of the same ones.

If nearly all samples are right, or wrong, their observed spread is near 0, and the interval of a t test is too narrow.
A score test takes the spread that each possible difference would give, so the interval for 25 right of 25 has a width.
"""

from __future__ import annotations

import math
from typing import Protocol

from attrs import frozen

ONE_SD = math.erf(math.sqrt(0.5))  # coverage of a normal interval of one standard error to each side


class Counts(Protocol):
    """Counts of two proportions A and B, whose difference can be tested."""

    @property
    def difference(self) -> float:
        """A - B."""

    def z(self, delta: float) -> float:
        """Return by how many standard errors the observed difference is above ``delta``, if that is the true one."""


@frozen
class SeparateCounts:
    """Numbers of right samples of A and of B, which were measured on different samples.

    Attributes:
        right_a: Samples of A that are right.
        n_a: Samples of A, at least 1.
        right_b: Those of B.
        n_b: Samples of B, at least 1.
    """

    right_a: int
    n_a: int
    right_b: int
    n_b: int

    @property
    def difference(self) -> float:
        """The share of A minus that of B."""
        return self.right_a / self.n_a - self.right_b / self.n_b

    def z(self, delta: float) -> float:
        """Return Miettinen and Nurminen's statistic; infinite where ``delta`` is impossible.

        Source: Miettinen and Nurminen 1985, "Comparative analysis of two rates", Statistics in Medicine 4; the closed
        form of the restricted estimates is that of Farrington and Manning 1990, Statistics in Medicine 9.
        """
        n = self.n_a + self.n_b
        share_a, share_b = self._shares_at(delta)
        variance = share_a * (1 - share_a) / self.n_a + share_b * (1 - share_b) / self.n_b
        return _ratio(self.difference - delta, variance * n / (n - 1))

    def _shares_at(self, delta: float) -> tuple[float, float]:
        """Return the most likely shares of A and B among those whose difference is ``delta``."""
        share_a, share_b = self.right_a / self.n_a, self.right_b / self.n_b
        ratio = self.n_b / self.n_a
        a = 1 + ratio
        b = -(1 + ratio + share_a + ratio * share_b + delta * (ratio + 2))
        c = delta**2 + delta * (2 * share_a + ratio + 1) + share_a + ratio * share_b
        d = -share_a * delta * (1 + delta)
        v = (b / (3 * a)) ** 3 - b * c / (6 * a**2) + d / (2 * a)
        u = math.copysign(math.sqrt(max(0.0, (b / (3 * a)) ** 2 - c / (3 * a))), v)
        angle = (math.pi + math.acos(min(1.0, max(-1.0, v / u**3)))) / 3 if u else 0.0
        found = 2 * u * math.cos(angle) - b / (3 * a)
        share = min(max(found, 0.0, delta), 1.0, 1.0 + delta)  # rounding may leave the possible range
        return share, share - delta


@frozen
class PairedCounts:
    """Numbers of samples that only one of A and B got right, if both were measured on the same samples.

    Attributes:
        only_a: Samples that are right in A and wrong in B.
        only_b: Samples that are right in B and wrong in A.
        n: All samples, also those on which A and B agree.
    """

    only_a: int
    only_b: int
    n: int

    @property
    def difference(self) -> float:
        """The share of A minus that of B."""
        return (self.only_a - self.only_b) / self.n

    def z(self, delta: float) -> float:
        """Return Tango's statistic, which is McNemar's for a difference of 0.

        Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
        paired-sample design", Statistics in Medicine 17; McNemar 1947, Psychometrika 12.
        """
        a, c = 2 * self.n, -self.only_b * delta * (1 - delta)
        b = -self.only_a - self.only_b + (2 * self.n - self.only_a + self.only_b) * delta
        only_b = (math.sqrt(max(0.0, b**2 - 4 * a * c)) - b) / (2 * a)  # most likely share among those with delta
        return _ratio(self.difference - delta, (2 * only_b + delta * (1 - delta)) / self.n)


def score_p_value(counts: Counts, delta: float = 0.0) -> float:
    """Return the two-sided p-value of a true difference of ``delta``."""
    return math.erfc(abs(counts.z(delta)) / math.sqrt(2))


def score_equivalence(counts: Counts, margin: float) -> float:
    """Return the larger p-value of the two one-sided tests that the difference lies within ± margin."""
    return max(_upper_tail(counts.z(-margin)), _upper_tail(-counts.z(margin)))


def score_interval(counts: Counts, level: float) -> tuple[float, float]:
    """Return the differences that the score test at 1 - level does not reject.

    The interval excludes 0 if and only if :func:`score_p_value` is below 1 - level.

    Args:
        counts: The counts of the two proportions.
        level: Coverage of the interval, in (0, 1).
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z, observed = float(ndtri(0.5 + level / 2)), counts.difference
    # The statistic falls as delta grows. It is 0 at the observed difference, and beyond an end where no root is.
    low = -1.0 if counts.z(-1.0) <= z else brentq(lambda delta: counts.z(delta) - z, -1.0, observed, xtol=1e-14)
    high = 1.0 if counts.z(1.0) >= -z else brentq(lambda delta: counts.z(delta) + z, observed, 1.0, xtol=1e-14)
    return float(low), float(high)


def score_error(counts: Counts) -> float:
    """Return half the width of the 68% score interval, which a standard error is half the width of; never 0."""
    low, high = score_interval(counts, ONE_SD)
    return (high - low) / 2


def _ratio(difference: float, variance: float) -> float:
    if variance > 0:
        return difference / math.sqrt(variance)
    return math.copysign(math.inf, difference) if difference else 0.0


def _upper_tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2
