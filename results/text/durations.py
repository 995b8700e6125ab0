"""The unit in which a measure is printed: a time in ns, ms, s, min or h, with its error in the same unit."""

from __future__ import annotations

import math

from attrs import frozen

from core.utils.formatting import duration_unit, format_value
from core.utils.results import ResultMetadata
from results.text.labels import is_time
from results.text.numbers import cut_at, mean_error


@frozen
class Unit:
    """A unit in which numbers are printed.

    Attributes:
        scale: What one unit is in the numbers as they are stored: 60 for minutes, since times are stored in seconds.
        name: Its name, such as "min"; "" for numbers that are printed as they are stored.
    """

    scale: float = 1.0
    name: str = ""

    def mean_error(self, mean: float, error: float) -> str:
        """Return "0.40 ± 0.12", or "(60.0 ± 1.2) min" for a time."""
        if math.isnan(error):
            return f"{self.value(mean)} ± unknown"
        text = mean_error(mean / self.scale, error / self.scale)
        return f"({text}) {self.name}" if self.name else text

    def value(self, number: float, like: float = math.nan) -> str:
        """Return a number in this unit.

        Args:
            number: The number.
            like: A standard error, whose second significant digit is the last that is printed; NaN for six digits, or
                four of a time.
        """
        scaled = number / self.scale
        if math.isfinite(scaled) and like > 0:
            return self.named(cut_at(scaled, like / self.scale))
        return self.named(f"{scaled:.4g}" if self.name and math.isfinite(scaled) else format_value(scaled))

    def given(self, number: float) -> str:
        """Return a number that the user gave in this unit, in up to twelve digits."""
        return self.named(f"{number / self.scale:.12g}")

    def named(self, text: str) -> str:
        """Return the text of a number with the name of the unit."""
        return f"{text} {self.name}" if self.name else text


PLAIN = Unit()


def unit_of(metadata: ResultMetadata, *values: float) -> Unit:
    """Return the unit in which values of a measure are printed together: of times, the one that suits the largest."""
    finite = [abs(value) for value in values if math.isfinite(value)]
    return Unit(*duration_unit(max(finite, default=0.0))) if is_time(metadata) else PLAIN
