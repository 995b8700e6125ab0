"""The parts of a run's environment that its numbers may depend on: the commit, the PyTorch version, the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from core.config.errors import unknown_name
from results.run import Run
from results.text.labels import spell

FIELDS = ("git_commit", "git_dirty", "torch", "device")
SPLIT_FIELDS = (*FIELDS, "host", "python", "platform")
UNKNOWN = "unknown"


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
