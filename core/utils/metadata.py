"""What a result is about: its name, its unit of replication, and what makes it comparable with another."""

from __future__ import annotations

import re

from attrs import field, frozen

from core.utils.fields import Scalar, as_integer, is_count_or_none, one_of, protocol_pairs, text, true_false_or_none

ROLES = ("primary", "part", "reference")
KINDS = ("mean", "proportion")
BEST = "best"  #: The checkpoint with the lowest validation loss.
STEP = re.compile(r"step-\d+")


@frozen(cache_hash=True)  # commands look measures up hundreds of thousands of times
class ResultMetadata:
    """Describes what a result measures. It is frozen and hashable, so that it can be a dict key.

    Two results are comparable when name, unit and protocol are equal.

    Attributes:
        name: What was measured, such as ``"denoising_loss"``; times are named ``"time/..."`` and are in seconds.
        n_steps: Steps of the sampler, where one was used.
        n_samples: Samples generated, where there were any.
        unit: What one observation stands for, the unit of replication: "sample", "image", "batch", "run", ...
        protocol: The conditions that must be equal for two numbers to be comparable. A mapping is converted to a
            tuple of (name, scalar) pairs sorted by name.
        higher_is_better: The good direction, or None where there is none.
        role: "primary"; "part" for a part of a primary measure, such as the loss at one noise level; "reference" for a
            value to compare a primary measure with, such as a floor. Not part of equality or hash.
        kind: "mean"; "proportion" if every observation lies in 0 to 1, so that intervals are Wilson's. Not part of
            equality or hash.
    """

    name: str = field(validator=text)
    n_steps: int | None = field(default=None, converter=as_integer, validator=is_count_or_none)
    n_samples: int | None = field(default=None, converter=as_integer, validator=is_count_or_none)
    unit: str = field(default="sample", validator=text)
    protocol: tuple[tuple[str, Scalar], ...] = field(default=(), converter=protocol_pairs)
    higher_is_better: bool | None = field(default=None, validator=true_false_or_none)
    role: str = field(default="primary", eq=False, validator=one_of(*ROLES))
    kind: str = field(default="mean", eq=False, validator=one_of(*KINDS))

    def is_comparable_with(self, other: ResultMetadata) -> bool:
        """Return whether the difference of two such results is meaningful: equal name, unit and protocol."""
        return (self.name, self.unit, self.protocol) == (other.name, other.unit, other.protocol)

    def __str__(self) -> str:
        details = self.details()
        return f"{self.name} (per {self.unit}{'; ' + details if details else ''})"

    def details(self) -> str:
        """Return everything but the name and the unit, as "n_steps=18, split=held_out"."""
        return ", ".join(f"{key}={value}" for key, value in [*self.sampling(), *self.protocol])

    def sampling(self) -> list[tuple[str, Scalar]]:
        """Return n_steps and n_samples as pairs, where they are known."""
        pairs: list[tuple[str, Scalar]] = [("n_steps", self.n_steps), ("n_samples", self.n_samples)]
        return [pair for pair in pairs if pair[1] is not None]


def checkpoint_of(metadata: ResultMetadata) -> str | None:
    """Return which checkpoint a result is of, as its protocol says: "best" or "step-N"; None if it is the last one."""
    named = next((value for name, value in metadata.protocol if name == "checkpoint"), None)
    return named if isinstance(named, str) and (named == BEST or STEP.fullmatch(named)) else None
