"""The parts of a run's environment that its numbers may depend on: the commit, the PyTorch version, the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from core.config.errors import unknown_name
from results.run import Run
from results.text.labels import count, printable, spell

FIELDS = ("git_commit", "git_dirty", "torch", "device")
SPLIT_FIELDS = (*FIELDS, "host", "python", "platform")
UNKNOWN = "unknown"
MOST_VALUES = 4


def environment_values(run: Run, fields: Sequence[str]) -> dict[str, str]:
    """Return fields of a run's environment as text. A field that cannot be read is "unknown".

    Raises:
        ConfigError: A field is not one of ``SPLIT_FIELDS``; the nearest one is suggested.
    """
    for name in fields:
        if name not in SPLIT_FIELDS:
            raise unknown_name("field of the environment", name, SPLIT_FIELDS)
    found = run.environment_fields if fields else {}
    return {name: spell(found[name]) if name in found else UNKNOWN for name in fields}


def mixed_environments(runs: Iterable[Run], split_by: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """Return the fields in which the runs' environments differ, each with the number of runs per value.

    Args:
        runs: The runs.
        split_by: Fields by which the runs are already split into groups; these are left out.
    """
    fields = [name for name in FIELDS if name not in split_by]
    values = [environment_values(run, fields) for run in runs]
    counts = {name: Counter(one[name] for one in values) for name in fields}
    return {name: dict(counted) for name, counted in counts.items() if len(counted) > 1}


def mixed_line(mixed: Mapping[str, Mapping[str, int]]) -> str:
    """Return one line that says what is mixed and what can be done about it."""
    return f"Mixed: {mixed_text(mixed)}. Separate them with --split-by FIELD; refuse them with --strict."


def mixed_text(mixed: Mapping[str, Mapping[str, int]]) -> str:
    """Return "git_commit 1a2b3c4d (3 runs), 9f8e7d6c (2 runs); device cpu (4 runs), NVIDIA H100 (1 run)"."""
    parts = []
    for name, counted in mixed.items():
        values = [f"{_short(name, value)} ({count(n, 'run')})" for value, n in list(counted.items())[:MOST_VALUES]]
        more = f" and {len(counted) - MOST_VALUES} more" if len(counted) > MOST_VALUES else ""
        parts.append(f"{name} {', '.join(values)}{more}")
    return printable("; ".join(parts))


def _short(name: str, value: str) -> str:
    return value[:12] if name == "git_commit" else value
