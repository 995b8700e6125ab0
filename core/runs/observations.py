"""What ``Run.log_result`` takes as a value: observations, a meter's measure, a number, or a finished result."""

from __future__ import annotations

from typing import Any

from core.utils.meters import ClusteredMean, Meter
from core.utils.records import ScalarResult

SQUARES_SHIFT = 1074  # a meter's state counts sums in units of 2^-1074, and sums of squares in units of 2^-2148
ACCEPTED = "an array or tensor or list of observations, a Meter, a ScalarResult, or a number"


def as_result(name: str, value: Any, cluster_ids: Any = None, kind: str | None = None) -> tuple[ScalarResult, str]:
    """Return the result that a value stands for, and its kind: as given, else "proportion" if all are 0 or 1.

    Args:
        name: Name of the result. Of a Meter, the measure of this name is taken.
        value: Observations, one per element, of which mean and standard error are taken exactly; a Meter; a
            ScalarResult; or a number, whose error is unknown.
        cluster_ids: One id per observation; the error is then the clustered one. None: they are independent.
        kind: "mean" or "proportion", or None to see it by the observations.

    Raises:
        TypeError: The value is none of these, or has cluster ids and is no list of observations.
        ValueError: There are no observations, not as many cluster ids, or the meter has no measure of this name; or the
            kind is "proportion" and an observation is not from 0 to 1.
    """
    if cluster_ids is not None:
        return _clustered(name, value, cluster_ids, kind)
    if isinstance(value, ScalarResult):
        _check_kind(name, kind, value.mean, value.mean)
        return value, kind or "mean"
    if isinstance(value, bool | str | bytes) or value is None:
        raise TypeError(f"{name}: got {value!r} ({type(value).__name__}); accepted: {ACCEPTED}.")
    if isinstance(value, Meter):
        meter = value
        if name not in (known := meter.results()):
            listed = ", ".join(map(repr, known)) or "none"
            raise ValueError(f"{name}: the meter has no measure of this name. Its measures: {listed}.")
    else:
        meter = Meter()
        meter.update({name: value})
    result = meter.result(name)
    if result.n == result.n_nan == 0:
        raise ValueError(f"{name}: got no observations; accepted: {ACCEPTED}.")
    _check_kind(name, kind, meter.min(name), meter.max(name))
    if _is_number(value):
        return ScalarResult(result.mean), kind or "mean"
    return result, kind or ("proportion" if _all_zero_or_one(meter, name) else "mean")


def _check_kind(name: str, kind: str | None, low: float, high: float) -> None:
    """Refuse a proportion of values that lie elsewhere: Wilson's interval would say nothing of them."""
    if kind == "proportion" and (low < 0 or high > 1):
        got = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise ValueError(f"{name}: kind 'proportion' needs values from 0 to 1; got {got}. Divide percentages by 100.")


def _clustered(name: str, value: Any, cluster_ids: Any, kind: str | None) -> tuple[ScalarResult, str]:
    """Return the mean of observations with its clustered error."""
    if isinstance(value, Meter | ScalarResult) or _is_number(value):
        raise TypeError(f"{name}: cluster_ids go with observations; got {type(value).__name__}.")
    _, kind = as_result(name, value, kind=kind)
    means = ClusteredMean()
    try:
        means.update(value, cluster_ids)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {str(error).removeprefix('update: ')}") from None
    return means.result(), kind


def _is_number(value: Any) -> bool:
    """Return whether a value that a meter accepts is a single number, not a collection with one element."""
    n_dimensions = getattr(value, "ndim", None)
    return not hasattr(value, "__len__") and not isinstance(value, Meter) if n_dimensions is None else n_dimensions == 0


def _all_zero_or_one(meter: Meter, name: str) -> bool:
    """Return whether all observations are 0 or 1, from the exact sums: between 0 and 1, x² = x holds for these only."""
    measure = meter.state_dict()["measures"][name]
    is_within = meter.nan_count(name) == 0 and meter.min(name) >= 0 and meter.max(name) <= 1
    return is_within and int(measure["s1"], 16) << SQUARES_SHIFT == int(measure["s2"], 16)
