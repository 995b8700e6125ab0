"""The results of a meter: the methods that read a measure or a pair and round once."""

from __future__ import annotations

import html
import operator
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from core.meter import pair_rounding, rounding
from core.meter.measure import Measure
from core.meter.pair import Pair

if TYPE_CHECKING:
    from core.utils.results import ScalarResult


class Readings:
    """The results of a meter. :class:`core.utils.meters.Meter` holds the state that they are computed from."""

    __slots__ = ()

    _nan_policy: str

    # Meter overrides these three methods and names(): it holds the state, this class only reads it.
    def _read(self, name: str) -> Measure:
        raise NotImplementedError

    def _read_pair(self, a: str, b: str) -> Pair:
        raise NotImplementedError

    def _measures(self) -> Mapping[str, Measure]:
        raise NotImplementedError

    @property
    def _omits_nan(self) -> bool:
        return self._nan_policy == "omit"

    def names(self) -> list[str]:
        """Return the names: declared measures first, then the others in the order of their first update."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.names()

    def means(self) -> dict[str, float]:
        """Return the mean of every measure by name: a flat dict of floats, as loggers take it."""
        return {name: rounding.mean(each, omit_nan=self._omits_nan) for name, each in self._measures().items()}

    def sum(self, name: str) -> float:
        """Return the sum over all samples, Σ w·x; 0 if there is no data."""
        return rounding.total(self._read(name), omit_nan=self._omits_nan)

    def mean(self, name: str) -> float:
        """Return the mean over all samples; NaN if there is no data."""
        return rounding.mean(self._read(name), omit_nan=self._omits_nan)

    def error(self, name: str, ddof: int = 1) -> float:
        """Return the standard error of the mean, sqrt(variance / n_samples); NaN for fewer than two observations.

        A confidence interval from it has ``count - 1`` degrees of freedom. ``ddof`` is subtracted from the number of
        observations in the denominator of the variance.
        """
        return rounding.error(self._read(name), _as_ddof(ddof), omit_nan=self._omits_nan)

    def std(self, name: str, ddof: int = 1) -> float:
        """Return the standard deviation per sample; NaN for fewer than two observations. ``ddof``: as in `error`."""
        return rounding.std(self._read(name), _as_ddof(ddof), omit_nan=self._omits_nan)

    def variance(self, name: str, ddof: int = 1) -> float:
        """Return the variance per sample, the square of :meth:`std` before rounding."""
        return rounding.variance(self._read(name), _as_ddof(ddof), omit_nan=self._omits_nan)

    def min(self, name: str) -> float:
        """Return the smallest observation; NaN if there is no data."""
        measure = self._read(name)
        return rounding.extreme(measure.min, measure, omit_nan=self._omits_nan)

    def max(self, name: str) -> float:
        """Return the largest observation; NaN if there is no data."""
        measure = self._read(name)
        return rounding.extreme(measure.max, measure, omit_nan=self._omits_nan)

    def count(self, name: str) -> int:
        """Return the number of observations, including infinities and excluding NaNs."""
        return self._read(name).k

    def n_samples(self, name: str) -> int:
        """Return the number of samples: the sum of ``n`` over the observations."""
        return self._read(name).n

    def nan_count(self, name: str) -> int:
        """Return the number of observations that were NaN."""
        return self._read(name).nan

    def ratio(self, a: str, b: str) -> ScalarResult:
        """Return the sum of ``a`` over the sum of ``b``, such as bits per byte, with its linearised standard error.

        The two must be a declared pair, in either order. Pairs with a NaN are counted in ``n_nan``; ``nan_policy`` says
        how they affect the result. The ratio is NaN if the sum of ``b`` is 0.

        Raises:
            KeyError: The two are not a declared pair.

        Source: Cochran 1977, "Sampling Techniques", section 2.11; core.meter.pair_rounding has the formulas.
        """
        from core.utils.results import ScalarResult

        pair, omits = self._read_pair(a, b), self._omits_nan
        value, error = pair_rounding.ratio(pair, omit_nan=omits), pair_rounding.ratio_error(pair, omit_nan=omits)
        return ScalarResult(value, error, pair.a.k, pair.nan, pair.inf)

    def difference(self, a: str, b: str) -> ScalarResult:
        """Return the mean of ``a - b`` over the observations of a pair, with its standard error; errors as `ratio`."""
        from core.utils.results import ScalarResult

        pair, omits = self._read_pair(a, b), self._omits_nan
        measure = pair_rounding.difference(pair)
        mean, error = rounding.mean(measure, omit_nan=omits), rounding.error(measure, 1, omit_nan=omits)
        return ScalarResult(mean, error, pair.a.k, pair.nan, pair.inf)

    def covariance(self, a: str, b: str, ddof: int = 1) -> float:
        """Return the covariance per sample of a pair. It is NaN where :meth:`std` would be, or after an infinity."""
        return pair_rounding.covariance(self._read_pair(a, b), _as_ddof(ddof), omit_nan=self._omits_nan)

    def correlation(self, a: str, b: str) -> float:
        """Return Pearson's correlation of a pair. It is NaN if ``a`` or ``b`` is constant, or after an infinity."""
        return pair_rounding.correlation(self._read_pair(a, b), omit_nan=self._omits_nan)

    def result(self, name: str) -> ScalarResult:
        """Return mean ± error with the numbers of observations, NaNs and infinities."""
        return self._result(self._read(name))

    def results(self) -> dict[str, ScalarResult]:
        """Return the result of every measure by name."""
        return {name: self._result(measure) for name, measure in self._measures().items()}

    def _repr_html_(self) -> str:
        """Return a table for notebooks: a row per measure."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(result))}</td><td>{result.n:,}</td></tr>"
            for name, result in self.results().items()
        )
        return f"<table><tr><th>measure</th><th>mean ± error</th><th>observations</th></tr>{rows}</table>"

    def _result(self, measure: Measure) -> ScalarResult:
        from core.utils.results import ScalarResult

        return ScalarResult(
            rounding.mean(measure, omit_nan=self._omits_nan),
            rounding.error(measure, 1, omit_nan=self._omits_nan),
            measure.k,
            measure.nan,
            measure.posinf + measure.neginf,
        )


def _as_ddof(ddof: object) -> int:
    if isinstance(ddof, bool) or not hasattr(ddof, "__index__"):
        raise TypeError(f"ddof: got {ddof!r} ({type(ddof).__name__}); accepted: an integer from 0")
    if (value := operator.index(ddof)) < 0:
        raise ValueError(f"ddof: got {value}; accepted: an integer from 0")
    return value
