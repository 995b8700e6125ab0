"""Where the difference of two results is a difference of KL divergences, as text and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

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


@frozen
class RelativeKL:
    """What the difference A - B of a likelihood is.

    Attributes:
        meaning: "KL(data || A) - KL(data || B)"; the data may be those with the noise of the protocol.
        unit: "bits per dimension".
        conditional: "label" if the densities are given the label, else "none".
    """

    meaning: str
    unit: str
    conditional: str


def relative_kl(metadata: ResultMetadata) -> RelativeKL | None:
    """Return what the difference of two results is if they are likelihoods of held-out data, else None.

    Both models are measured on the same data: that is part of the protocol. The entropy of the data cancels in the
    difference, and so does what the noise on quantised images adds.

    Source: arXiv:2501.18897, on the relative KL divergence of two models of known density.
    """
    if metadata.name not in LIKELIHOODS:
        return None
    noisy = dict(metadata.protocol).get("dequantisation", "none") != "none"
    of_what = "data with the noise of the protocol" if noisy else "data"
    conditional = "label" if LIKELIHOODS[metadata.name] else "none"
    return RelativeKL(f"KL({of_what} || A) - KL({of_what} || B)", "bits per dimension", conditional)


def relative_kl_lines(comparisons: Sequence[HasMeasure]) -> list[str]:
    """Return a line for each likelihood of held-out data."""
    lines = []
    for one in comparisons:
        if (found := relative_kl(one.metadata)) is not None:
            given = LIKELIHOODS[one.metadata.name]
            lines.append(f"{one.label}: A - B is relative KL, in {found.unit}: {found.meaning}{given}.")
    return lines
