"""Numbers in tables: what core prints for mean ± error, fast enough for 10,000 runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.utils.formatting import format_mean_error


def mean_error(mean: float, error: float) -> str:
    """Return what ``core.utils.formatting.format_mean_error`` does, without its library in the ordinary case.

    Ordinary is an error whose second significant digit stands behind the decimal point, on a mean in plain notation.
    """
    if 1e-4 <= max(abs(mean), error) < 1e6:  # NaN is not, either
        decimals = decimals_of(error)
        if decimals is not None:
            return f"{mean:.{decimals}f} ± {error:.{decimals}f}"
    return format_mean_error(mean, error)


def known_error(error: float, n: int | None) -> float:
    """Return the standard error, NaN (unknown) if it is 0 because all of several observations are equal.

    Equal observations do not show how much the next one would differ: the error of 25 right answers of 25 is not 0.
    """
    return math.nan if error == 0 and n is not None and n > 1 else error


def decimals_of(error: float) -> int | None:
    """Return the decimals up to an error's second significant digit, or None where plain notation does not suit."""
    return 1 - int(f"{error:.1e}"[-3:]) if 1e-9 <= error < 9.4 else None


def cut_at(number: float, error: float, sign: str = "") -> str:
    """Return a number up to the second significant digit of its error, such as "12345" for an error of 20.

    Args:
        number: The number.
        error: Its standard error, or another length whose second digit is the last that counts. If it is unknown, 0 or
            infinite, the number has six significant digits.
        sign: "+" to print the sign of a positive number, too.
    """
    if not (math.isfinite(number) and 0 < error < math.inf):
        return f"{number:{sign}.6g}"
    if (decimals := decimals_of(error)) is not None:
        return f"{number:{sign}.{decimals}f}"
    if 1 < error < 1e6 and abs(number) < (1e15 if error < 99.5 else 1e6):
        return f"{number:{sign}.0f}"
    digits = _exponent(number) - _exponent(error) + 1
    return f"{number:{sign}.{min(max(digits, 0), 16)}e}"


def _exponent(number: float) -> int:
    return int(f"{number:.1e}".partition("e")[2])


def percentages(shares: Sequence[float]) -> list[int]:
    """Return shares of a whole as percentages that add to 100; each differs from its share by less than one point.

    All are rounded down; then those with the largest remainders get the points that are missing (Hamilton's method).

    Args:
        shares: Not negative; they add to 1.
    """
    exact = [100 * share for share in shares]
    whole = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: whole[i] - exact[i])
    for i in by_remainder[: 100 - sum(whole)]:
        whole[i] += 1
    return whole


def aligned_at_error(texts: list[str]) -> list[str]:
    """Pad texts like "0.31 ± 0.02" at the left, so that their ± stand below one another."""
    widths = [text.find(" ± ") for text in texts]
    before = max(widths, default=0)
    return [" " * (before - width) + text if width >= 0 else text for text, width in zip(texts, widths, strict=True)]
