"""Format numbers for people: a mean rounded by its error, durations in a suitable unit."""

from __future__ import annotations

import math
from datetime import UTC, datetime

UNKNOWN = "unknown"
LONGEST = 40  # characters; beyond this a plain repr says more


def format_value(value: float) -> str:
    """Format a number of unknown precision to six significant digits."""
    return "nan" if math.isnan(value) else f"{value:.6g}"


def format_mean_error(mean: float, error: float) -> str:
    """Format ``mean ± error``, both rounded to the second significant digit of the error.

    An error of NaN prints as unknown. Where cutting makes no sense (an error of exactly 0, or one that is 1e15 times
    smaller than the mean) the mean prints in full.
    """
    if math.isnan(error):
        return f"{format_value(mean)} ± {UNKNOWN}"
    if not math.isfinite(mean) or not math.isfinite(error):
        return f"{format_value(mean)} ± {format_value(error)}"
    in_full = f"{mean!r} ± {error:.2g}"
    if error == 0 or abs(mean) * 1e-15 > error:
        return in_full
    return _cut(mean, error) or in_full


def _cut(mean: float, error: float) -> str | None:
    from uncertainties import ufloat  # 110 ms: paid by those who print

    try:
        text = f"{ufloat(mean, error):.2u}"
        if "e" in text and 100 <= max(abs(mean), error) < 1e6:
            text = f"{ufloat(mean, error):.2uf}"  # 200 ± 100 rather than (2.0 ± 1.0)e+02
    except (OverflowError, ValueError):  # subnormal errors
        return None
    return text.replace("+/-", " ± ") if len(text) <= LONGEST else None


def format_duration(seconds: float, error_s: float | None = None) -> str:
    """Format a time in ns, µs, ms, s, min or h, whichever leaves a number from 1 up; the error in the same unit."""
    scale, unit = duration_unit(seconds)
    if error_s is None:
        return f"{seconds / scale:.3g} {unit}" if math.isfinite(seconds) else f"{format_value(seconds)} s"
    if math.isnan(seconds):
        return UNKNOWN
    if math.isnan(error_s):
        return f"{format_duration(seconds)} ± {UNKNOWN}"
    text = format_mean_error(seconds / scale, error_s / scale)
    return f"({text}) {unit}" if "±" in text and not text.startswith("(") else f"{text} {unit}"


def duration_unit(seconds: float) -> tuple[float, str]:
    """Return the unit that suits a time, in seconds, and its name: (60.0, "min") for 200 s."""
    units = [(3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]
    if not math.isfinite(seconds) or seconds == 0:
        return 1.0, "s"
    for scale, unit in units:
        least = 2 * scale if scale > 1 else 0.9995 * scale  # "90 s" reads better than "1.5 min", "1 s" than "1e+03 ms"
        if abs(seconds) >= least:
            return scale, unit
    return units[-1]


def timestamp() -> str:
    """Return the current time as files hold it: UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
