"""One result: a mean with its standard error, what it is about, and what it was measured on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html import escape
from types import NoneType

import attrs
from attrs import field, frozen

from core.utils.fields import (
    UnsavableError,
    as_float,
    as_integer,
    instance,
    is_count,
    is_count_or_none,
    is_integer_or_none,
    is_real,
    one_of,
)
from core.utils.formatting import UNKNOWN, format_duration, format_mean_error
from core.utils.metadata import ResultMetadata

WEIGHTS = ("ema", "raw")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _bits(value: float) -> float | str:
    """Compare NaN as equal to itself, so that a result that was saved and read back is equal to the original."""
    return "nan" if math.isnan(value) else value


@frozen
class ScalarResult:
    """A mean, its standard error, and the number of observations that they were computed from.

    Attributes:
        mean: The estimate; NaN where there is none.
        error: Its standard error; NaN where the data cannot give one. Never negative.
        n: Number of observations from which the error was computed, or None if unknown.
        n_nan: Observations that were NaN; they are not among the ``n``.
        n_inf: Observations that were infinite; they are among the ``n``.
    """

    mean: float = field(converter=as_float, validator=is_real, eq=_bits)
    error: float = field(default=math.nan, converter=as_float, validator=is_real, eq=_bits)
    n: int | None = field(default=None, converter=as_integer, validator=is_count_or_none)
    n_nan: int = field(default=0, converter=as_integer, validator=is_count)
    n_inf: int = field(default=0, converter=as_integer, validator=is_count)

    @error.validator
    def _not_negative(self, _attribute: object, value: float) -> None:
        # Not value < 0 alone: a comparison with NaN ends the process where invalid operations are trapped.
        if not math.isnan(value) and value < 0:
            raise UnsavableError(f"error: got {value!r}; accepted: a number from 0 up, or NaN where it is unknown")

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval of the mean, by Student's t with ``n - 1`` degrees of freedom.

        Both ends are NaN where the mean, its error or ``n`` is unknown, or all observations are equal.

        Raises:
            ValueError: ``level`` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level: got {level!r}; accepted: a number between 0 and 1, such as 0.95")
        if self.n is None or self.n < 2:
            return math.nan, math.nan
        from scipy.special import stdtrit

        half_width = float(stdtrit(self.n - 1, (1 + level) / 2)) * self.shown_error()
        return self.mean - half_width, self.mean + half_width

    def map(self, function: Callable[[float], float]) -> MappedResult:
        """Return a function of the mean, such as ``result.map(math.exp)`` for the perplexity of a mean in nats."""
        return MappedResult(self, function)

    def shown_error(self) -> float:
        """Return the error to print: NaN, unknown, where all of two or more observations are equal.

        Equal observations say nothing about the spread: the error of 25 right answers out of 25 is not 0.
        """
        return math.nan if self._all_equal() else self.error

    def remark(self) -> str:
        """Return "(3 of 5,000 not finite)", "(all 25 observations are equal)", both, or ""."""
        not_finite = self.n_nan + self.n_inf
        of = "" if self.n is None else f" of {self.n + self.n_nan:,}"
        parts = [f"all {self.n:,} observations are equal"] if self._all_equal() else []
        parts += [f"{not_finite:,}{of} not finite"] if not_finite else []
        return f"({'; '.join(parts)})" if parts else ""

    def _all_equal(self) -> bool:
        return self.error == 0 and self.n is not None and self.n >= 2

    def __str__(self) -> str:
        in_full = f"{self.mean!r} ± {UNKNOWN}"  # equal observations: every digit of the mean counts
        text = in_full if self._all_equal() else format_mean_error(self.mean, self.error)
        return " ".join(part for part in (text, self.remark()) if part)

    def _repr_html_(self) -> str:
        return escape(str(self))


@frozen
class MappedResult:
    """A monotonic function of a result. Its interval is that of the result, with the function applied to both ends.

    It has no standard error: the interval of exp(x), for example, is not symmetric, and ± would say that it is.

    Attributes:
        result: The result.
        function: A function that increases everywhere or decreases everywhere.
    """

    result: ScalarResult
    function: Callable[[float], float]

    @property
    def value(self) -> float:
        """The function of the mean."""
        return float(self.function(self.result.mean))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval; see :meth:`ScalarResult.interval`."""
        a, b = (float(self.function(end)) for end in self.result.interval(level))
        return (b, a) if b < a else (a, b)

    def __str__(self) -> str:
        low, high = self.interval()
        known = not (math.isnan(low) or math.isnan(high))
        return f"{self.value:.6g} ({f'95% interval {low:.6g} to {high:.6g}' if known else 'interval unknown'})"


@frozen
class ResultSource:
    """What a result was measured on. It does not decide whether two results can be compared.

    Attributes:
        step: Training step of the checkpoint that was measured.
        digest: "sha256:" and 64 hexadecimal digits: the digest of the checkpoint file as it was read.
        weights: "ema" for the moving average of the weights, "raw" for the weights themselves.
        sample_seed: Seed of the samples' noise.
    """

    step: int | None = field(default=None, converter=as_integer, validator=is_count_or_none)
    digest: str | None = field(default=None)
    weights: str | None = field(default=None, validator=attrs.validators.optional(one_of(*WEIGHTS)))
    sample_seed: int | None = field(default=None, converter=as_integer, validator=is_integer_or_none)

    @digest.validator
    def _is_digest(self, _attribute: object, value: object) -> None:
        if value is not None and not (isinstance(value, str) and _DIGEST.fullmatch(value)):
            raise UnsavableError(f"digest: got {value!r}; accepted: 'sha256:' and 64 hexadecimal digits, or None")


@frozen
class ResultRecord:
    """One result, what it is about, and what it was measured on where that is known."""

    metadata: ResultMetadata = field(validator=instance("ResultMetadata('name', unit='image')", ResultMetadata))
    result: ScalarResult = field(validator=instance("ScalarResult(mean, error, n)", ScalarResult))
    source: ResultSource | None = field(
        default=None, validator=instance("ResultSource(step=...)", ResultSource, NoneType)
    )

    def value(self) -> str:
        """Return "mean ± error"; of a time, which is in seconds, in the unit that fits."""
        if not self.metadata.name.startswith("time/"):
            return str(self.result)
        text = format_duration(self.result.mean, self.result.shown_error())
        return " ".join(part for part in (text, self.result.remark()) if part)

    def __str__(self) -> str:
        n = "n unknown" if self.result.n is None else f"n = {self.result.n:,}"
        about = [n, f"unit {self.metadata.unit}", *(f"{key}={value}" for key, value in self.metadata.sampling())]
        return f"{self.metadata.name}: {self.value()}  ({', '.join(about)})"

    def _repr_html_(self) -> str:
        return escape(str(self))
