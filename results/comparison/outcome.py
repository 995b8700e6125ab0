"""All that one call of ``compare`` found, ready to be written as text or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from results.comparison.comparison import Comparison
from results.comparison.failed import OnlyFailures


@frozen
class Outcome:
    """The comparisons of one call of ``compare``, and what is shown with them.

    Attributes:
        comparisons: One per measure and B, those with an answer first.
        refused: Why some measures or results were left out.
        delta: A difference to detect, for which the number of seeds is wanted; None without ``--detect``.
        only_failures: Groups of which one has no finished run, with their shares of failed runs.
        mixed: What differs between the runs beside their configs, such as the device or the evaluated weights, each
            with the number of runs per value.
    """

    comparisons: Sequence[Comparison]
    refused: Sequence[str] = ()
    delta: float | None = None
    only_failures: Sequence[OnlyFailures] = ()
    mixed: Mapping[str, Mapping[str, int]] = field(factory=dict)
