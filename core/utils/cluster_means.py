"""ClusteredMean: the mean of values that belong to clusters, with an error that allows for the clusters."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.meter import pair_rounding, rounding
from core.meter.blocks import Blocks
from core.meter.exact import measure_array
from core.meter.float_bits import parts
from core.meter.inputs import OnDevice, standard
from core.meter.measure import S1_BITS, S2_BITS, Measure
from core.meter.pair import Pair
from core.meter.products import numbers
from core.meter.state import POLICIES

if TYPE_CHECKING:
    from core.utils.results import ScalarResult

ClusterId = int | str

_MANY = 16  # from this number of values of one cluster, NumPy's exact sums are faster than one value at a time


class ClusteredMean:
    """Computes the mean of values with its clustered standard error, from the exact sum of each cluster.

    Values of one cluster, such as the questions about one text, are not independent, but the clusters are. Memory grows
    with the number of clusters, not of values. Sums are exact, so that order and batch size do not matter.

    Args:
        nan_policy: As for :class:`core.utils.meters.Meter`.

    Example:
        >>> means = ClusteredMean()
        >>> means.update([1.0, 0.0, 1.0, 1.0], ["a", "a", "b", "c"])
        >>> means.result().mean, len(means)
        (0.75, 3)

    Source: Miller 2024, "Adding Error Bars to Evals", arXiv:2411.00640, section 2.2, with the factor G / (G - 1) for G
    clusters, as inspect_ai has it. It is the error of a ratio: sum over count, one observation per cluster.
    """

    def __init__(self, nan_policy: str = "propagate") -> None:
        if nan_policy not in POLICIES:
            raise ValueError(f"nan_policy: got {nan_policy!r}; accepted: {', '.join(map(repr, POLICIES))}")
        self._nan_policy = nan_policy
        self._clusters: dict[ClusterId, Measure] = {}

    def __len__(self) -> int:
        """Return the number of clusters that have a value."""
        return sum(measure.k > 0 for measure in self._clusters.values())

    def update(self, values: Any, ids: Iterable[ClusterId]) -> None:
        """Add values, each with the id of its cluster. If this raises an error, nothing was added.

        Args:
            values: One-dimensional: an array, tensor or list of real numbers.
            ids: As many integers or strings, such as a list, an array or a tensor.

        Raises:
            TypeError: A value is not a real number, or an id is neither an integer nor a string.
            ValueError: There are more values than ids or fewer, or a value is NaN under ``nan_policy="raise"``.
        """
        taken = _taken(values)
        names = [_checked_id(name) for name in (ids.tolist() if hasattr(ids, "tolist") else ids)]
        if len(taken) != len(names):
            raise ValueError(f"update: got {len(taken)} values and {len(names)} ids; accepted: one id per value")
        positions: dict[ClusterId, list[int]] = {}
        for position, name in enumerate(names):
            positions.setdefault(name, []).append(position)
        added = {name: _measure(taken, of_cluster) for name, of_cluster in positions.items()}
        if self._nan_policy == "raise" and (n_nan := sum(measure.nan for measure in added.values())):
            raise ValueError(f"update: got {n_nan:,} NaN under nan_policy='raise'; nothing was added")
        self._clusters = _merged([self._clusters, added])

    def result(self) -> ScalarResult:
        """Return the mean of all values ± its clustered standard error; ``n`` is the number of clusters.

        An interval has ``n - 1`` degrees of freedom. The error is NaN for fewer than two clusters.
        """
        from core.utils.results import ScalarResult

        pair, omits = self._pair(), self._nan_policy == "omit"
        mean, error = pair_rounding.ratio(pair, omit_nan=omits), pair_rounding.ratio_error(pair, omit_nan=omits)
        n_inf = sum(measure.posinf + measure.neginf for measure in self._clusters.values())
        return ScalarResult(mean, error, len(self), pair.nan, n_inf)

    def sums(self) -> dict[ClusterId, tuple[float, int]]:
        """Return the sum of each cluster, rounded once, and the number of its values without NaNs."""
        return {name: (_sum(measure), measure.k) for name, measure in self._clusters.items()}

    def merge(self, other: ClusteredMean) -> None:
        """Add all values of ``other``, exactly. A cluster may be in both; ``other`` does not change.

        Raises:
            TypeError: ``other`` is not a ClusteredMean.
            ValueError: The two have different nan_policy.
        """
        if not isinstance(other, ClusteredMean):
            raise TypeError(f"merge: got a {type(other).__name__}; accepted: a ClusteredMean")
        if other._nan_policy != self._nan_policy:
            raise ValueError(f"merge: got nan_policy={other._nan_policy!r}; accepted: {self._nan_policy!r}, as here")
        self._clusters = _merged([self._clusters, other._clusters])

    def all_reduce(self, group: Any = None) -> ClusteredMean:
        """Return the values of all processes of torch.distributed together; self does not change.

        Every process of ``group`` (None: all processes) must call this. The values of one cluster may be split over
        processes: the sums are gathered and added by cluster id, exactly.

        Raises:
            ValueError: nan_policy differs between processes; raised on all of them.
        """
        gathered: list[Any] = [(self._nan_policy, self._clusters)]
        torch = sys.modules.get("torch")
        if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            gathered = gathered * torch.distributed.get_world_size(group)
            torch.distributed.all_gather_object(gathered, (self._nan_policy, self._clusters), group=group)
        policies = sorted({policy for policy, _ in gathered})
        if len(policies) > 1:
            raise ValueError(f"all_reduce: different nan_policy on different processes: {' and '.join(policies)}")
        reduced = ClusteredMean(self._nan_policy)
        reduced._clusters = _merged([clusters for _, clusters in gathered])
        return reduced

    def _pair(self) -> Pair:
        """Return the state of the pair (sum, count) with one observation per cluster."""
        total = [measure for measure in self._clusters.values() if measure.k]
        n_nan = sum(measure.nan for measure in self._clusters.values())
        posinf, neginf = (sum(getattr(measure, field) for measure in total) for field in ("posinf", "neginf"))
        k, n_infinite = len(total), sum(bool(measure.posinf or measure.neginf) for measure in total)
        sums = Measure(k, k, sum(m.s1 for m in total), sum(m.s1**2 for m in total), posinf=posinf, neginf=neginf)
        counts = Measure(k, k, sum(m.k for m in total) << S1_BITS, sum(m.k**2 for m in total) << S2_BITS)
        return Pair(sums, counts, sum(m.s1 * m.k for m in total) << S1_BITS, n_nan, n_infinite)

    def __repr__(self) -> str:
        return f"<ClusteredMean of {len(self):,} clusters, nan_policy={self._nan_policy!r}>"


def _merged(each: Iterable[dict[ClusterId, Measure]]) -> dict[ClusterId, Measure]:
    total: dict[ClusterId, Measure] = {}
    for clusters in each:
        for name, measure in clusters.items():
            total[name] = total[name].merge(measure) if name in total else measure
    return total


def _taken(values: Any) -> list[float | int] | NDArray[Any]:
    """Return one-dimensional values as Python numbers or as an array that ``measure_array`` accepts, exactly."""
    if isinstance(values, list | tuple | np.ndarray) or hasattr(values, "shape"):
        taken = standard("values", values, keeps_order=True)
        if isinstance(taken, OnDevice):
            taken = standard("values", taken.tensor.cpu(), keeps_order=True)
        if isinstance(taken, list):
            return taken
        if isinstance(taken, Blocks):
            taken = taken.copy()
        if isinstance(taken, np.ndarray) and len(getattr(values, "shape", (0,))) == 1:
            return taken
    raise TypeError(
        f"values: got a {type(values).__name__}; accepted: a one-dimensional array, tensor or list of numbers"
    )


def _measure(values: list[float | int] | NDArray[Any], positions: list[int]) -> Measure:
    """Return the state after the values at these positions, without the sum of squares and extremes."""
    if isinstance(values, np.ndarray):
        if len(positions) >= _MANY:
            return measure_array(values[positions])._replace(s2=0, min=None, max=None)
        each = numbers(values[positions])
    else:
        each = [values[position] for position in positions]
    s1 = nan = posinf = neginf = 0
    for value in each:
        if isinstance(value, int):
            s1 += value << S1_BITS
        elif math.isfinite(value):
            m, e = parts(value)
            s1 += m << e
        elif math.isnan(value):
            nan += 1
        else:
            posinf, neginf = posinf + (value > 0), neginf + (value < 0)
    k = len(each) - nan
    return Measure(k, k, s1, nan=nan, posinf=posinf, neginf=neginf)


def _checked_id(name: object) -> ClusterId:
    if isinstance(name, int | str) and not isinstance(name, bool):
        return str(name) if isinstance(name, str) else int(name)
    if isinstance(name, np.integer):
        return int(name)
    raise TypeError(f"ids: got {name!r} ({type(name).__name__}); accepted: integers or strings")


def _sum(measure: Measure) -> float:
    one = measure._replace(n=1) if measure.k else Measure(1, 1)
    return rounding.mean(one, omit_nan=True)
