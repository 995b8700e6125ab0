"""Short labels for measures and groups: a name, plus the details that distinguish things of the same name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.utils.output import printable as printable  # imported from here by other modules
from core.utils.results import ResultMetadata

MOST_NAMES = 3  # written out in a sentence


def measure_labels(measures: Iterable[ResultMetadata]) -> dict[ResultMetadata, str]:
    """Return a label for each of the measures, such as "frechet" or "frechet (n_steps=18)" if two share a name."""
    by_name: dict[str, list[ResultMetadata]] = {}
    for metadata in measures:
        by_name.setdefault(metadata.name, []).append(metadata)
    labels = {}
    for name, alike in by_name.items():
        details = differing([_details(metadata) for metadata in alike])
        for metadata, parts in zip(alike, details, strict=True):
            labels[metadata] = printable(f"{name} ({parts})" if parts else name)
    return labels


def differing(things: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each mapping the entries in which the mappings differ, such as "n_steps=18, split=held_out"."""
    names = differing_names(things)
    return [", ".join(f"{name}={spell(thing[name])}" for name in names if name in thing) for thing in things]


def differing_names(things: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names whose values differ between the mappings, in order of first appearance.

    A missing name differs from every value.
    """
    names = dict.fromkeys(name for thing in things for name in thing)
    return [name for name in names if any(_get(thing, name) != _get(things[0], name) for thing in things)]


def spell(value: object) -> str:
    """Return a config value as it would be written on the command line."""
    if isinstance(value, list | tuple):
        return ",".join(map(spell, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) and float(f"{value:.6g}") == value else str(value)


def shortened(text: str, width: int) -> str:
    """Return text of at most ``width`` characters; longer text ends in "…"."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def count(n: int, noun: str) -> str:
    """Return "1 run" or "2,000 runs"."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def names_text(names: Sequence[str], n_all: int) -> str:
    """Return names for a sentence: "a, b, c", "a, b, c and 14 more", or "All 18 measures".

    Args:
        names: Names of measures.
        n_all: Number of measures that there are.
    """
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    if len(names) == n_all:
        return f"All {n_all} measures"
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"


def is_time(metadata: ResultMetadata) -> bool:
    """Return whether a measure is a time, which depends on the machine and is not a result of the model."""
    return metadata.name.startswith("time/")


def _details(metadata: ResultMetadata) -> dict[str, Any]:
    return {
        **{name: value for name in ("n_steps", "n_samples") if (value := getattr(metadata, name)) is not None},
        "unit": metadata.unit,
        **dict(metadata.protocol),
        "higher_is_better": metadata.higher_is_better,
    }


def _get(thing: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    return (name in thing, thing.get(name))
