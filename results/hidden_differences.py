"""Finds what runs or results mix: differences besides the config, such as the device, that may change their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from core.utils.results import ResultMetadata, ResultSource
from results.environments import UNKNOWN
from results.groups import Group
from results.run import Run
from results.text.labels import count, printable

WEIGHTS = "weights"
MOST_VALUES = 4

Mixed = Mapping[str, Mapping[str, int]]
Measurements = Iterable[tuple[Run, ResultSource | None]]


def mixed_weights(by_measure: Iterable[Measurements]) -> dict[str, dict[str, int]]:
    """Return ``{"weights": {"ema": 3, "raw": 2}}``, runs per kind of weights, or nothing if no measure mixes them.

    Args:
        by_measure: For each measure, the runs whose results are compared, with the sources of the results.
    """
    runs: dict[str, set[str]] = {}
    for measurements in by_measure:
        found: dict[str, set[str]] = {}
        for run, source in measurements:
            weights = UNKNOWN if source is None or source.weights is None else source.weights
            found.setdefault(weights, set()).add(run.id)
        if len(found) > 1:
            for weights, ids in found.items():
                runs.setdefault(weights, set()).update(ids)
    return {WEIGHTS: {weights: len(ids) for weights, ids in runs.items()}} if runs else {}


def mixed_weights_of(groups: Sequence[Group], measures: Iterable[ResultMetadata]) -> dict[str, dict[str, int]]:
    """Return what :func:`mixed_weights` finds in the results that count of all the groups."""
    return mixed_weights(
        ((run, run.sources.get(m)) for group in groups for run in group.replicates_with(m).values()) for m in measures
    )


def mixed_line(mixed: Mixed) -> str:
    """Return one line that says what is mixed and what can be done about it."""
    return f"Mixed: {mixed_text(mixed)}. {mixed_remedy(mixed)}; refuse them with --strict."


def mixed_remedy(mixed: Mixed) -> str:
    """Return what can be done: separate the runs by their environment, or evaluate them alike."""
    remedies = ["separate them with --split-by FIELD"] if mixed.keys() - {WEIGHTS} else []
    remedies += ["evaluate all runs with the same --weights"] if WEIGHTS in mixed else []
    text = "; ".join(remedies)
    return text[:1].upper() + text[1:]


def mixed_text(mixed: Mixed) -> str:
    """Return "git_commit 1a2b3c4d (3 runs), 9f8e7d6c (2 runs); device cpu (4 runs), NVIDIA H100 (1 run)"."""
    parts = []
    for name, counted in mixed.items():
        values = [f"{_short(name, value)} ({count(n, 'run')})" for value, n in list(counted.items())[:MOST_VALUES]]
        more = f" and {len(counted) - MOST_VALUES} more" if len(counted) > MOST_VALUES else ""
        parts.append(f"{name} {', '.join(values)}{more}")
    return printable("; ".join(parts))


def _short(name: str, value: str) -> str:
    return value[:12] if name == "git_commit" else value
