"""Where the difference of two results is a difference of KL divergences, and the line that says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.utils.results import ResultMetadata

LIKELIHOODS = {
    "bits_per_dim": "",
    "bits_per_dim/raw": "",
    "bits_per_dim/given_label": ", given the label",
    "bits_per_dim/given_label/raw": ", given the label",
}  #: What the divergences are conditional on, by the name of the result.


class HasMeasure(Protocol):
    """A comparison: a label and what was measured."""

    @property
    def label(self) -> str:
        """The measure's short name."""

    @property
    def metadata(self) -> ResultMetadata:
        """The measure."""


def relative_kl_lines(comparisons: Sequence[HasMeasure]) -> list[str]:
    """Return a line for each likelihood of held-out data.

    Both models are measured on the same data: that is part of the protocol. The entropy of the data cancels in the
    difference, and so does what the noise on quantised images adds.

    Source: arXiv:2501.18897, on the relative KL divergence of two models of known density.
    """
    lines = []
    for one in comparisons:
        if one.metadata.name not in LIKELIHOODS:
            continue
        given = LIKELIHOODS[one.metadata.name]
        noisy = dict(one.metadata.protocol).get("dequantisation", "none") != "none"
        of_what = "data with the noise of the protocol" if noisy else "data"
        lines.append(
            f"{one.label}: A - B is relative KL, in bits per dimension: KL({of_what} || A) - KL({of_what} || B){given}."
        )
    return lines
