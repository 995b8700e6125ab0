"""Choose the measures that a table shows: those that match patterns, or the main ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from core.config.errors import unknown_name
from core.utils.results import ResultMetadata
from results.text.labels import is_time, measure_labels


def choose_measures(
    counts: Mapping[ResultMetadata, int], patterns: Sequence[str] = (), most: int | None = None
) -> dict[ResultMetadata, str]:
    """Return the chosen measures with their labels.

    Args:
        counts: Every measure, with the number of runs that have it.
        patterns: Names or labels; * matches any text. Without patterns the main measures are chosen: all except times.
            Measures that more runs have come first, then whole measures before their parts (loss before
            loss/sigma_1), then measures with a good direction before those without.
        most: Maximum number of main measures; None for all.

    Raises:
        ConfigError: A pattern matches no measure; the nearest name is suggested.
    """
    labels = measure_labels(counts)
    if patterns:
        chosen: dict[ResultMetadata, str] = {}
        for pattern in patterns:
            found = {
                metadata: label
                for metadata, label in labels.items()
                if label == pattern or fnmatchcase(metadata.name, pattern) or fnmatchcase(label, pattern)
            }
            if not found:
                raise unknown_name("measure", pattern, {metadata.name for metadata in labels} | set(labels.values()))
            chosen.update(found)
        return chosen
    results = [metadata for metadata in labels if not is_time(metadata)]
    results.sort(key=lambda m: (-counts[m], "/" in m.name, m.higher_is_better is None))
    return {metadata: labels[metadata] for metadata in results[:most]}


def is_wanted(label: str, name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name or label matches a pattern, in which * stands for any text; no pattern asks for all."""
    return not patterns or any(p in {label, name} or fnmatchcase(name, p) or fnmatchcase(label, p) for p in patterns)
