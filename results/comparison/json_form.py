"""Comparisons as JSON: every number in full, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from core.runs.strict_json import dumps
from results.comparison.comparison import Comparison
from results.comparison.findings import findings_json
from results.groups import Group, OverRuns, UnknownSeed

SCHEMA = "pyml.comparison/1"


def comparisons_json(comparisons: Sequence[Comparison], refused: Sequence[str] = (), delta: float | None = None) -> str:
    """Return strict JSON: NaN (unknown) is null."""
    content = {
        "schema": SCHEMA,
        "comparisons": [_comparison(one, delta) for one in comparisons],
        "not_compared": list(refused),
    }
    return dumps(content, indent=2)


def _comparison(one: Comparison, delta: float | None) -> dict[str, Any]:
    content: dict[str, Any] = {
        "measure": {**attrs.asdict(one.metadata), "protocol": dict(one.metadata.protocol)},
        "label": one.label,
        "a": {**_group(one.a), **over_runs(one.over_a)},
        "b": {**_group(one.b), **over_runs(one.over_b)},
        "test": attrs.asdict(one.test),
        "level": one.level,
        "p_adjusted": one.p_adjusted,
        "answer": one.answer,
        "detectable_difference": one.detectable,
        "note": one.note,
        "findings": findings_json(one.findings),
        "equivalence": None if one.equivalence is None else attrs.asdict(one.equivalence),
    }
    if delta is not None:
        needed, low, high = one.runs_needed(delta)
        content["detect"] = {"delta": delta, "n_seeds": needed, "n_seeds_low": low, "n_seeds_high": high, "power": 0.8}
    return content


def _group(group: Group) -> dict[str, Any]:
    return {
        "label": group.label,
        "seeds": [None if isinstance(key, UnknownSeed) else key for key in group.replicates],
        "runs": [run.id for run in group.replicates.values()],
        "left_out": {run.id: run.status.state for run in group.runs if run not in group.replicates.values()},
    }


def over_runs(over: OverRuns) -> dict[str, Any]:
    """Return a measure over runs as plain numbers."""
    summary = over.summary
    return {
        "n_runs": summary.n,
        "mean": summary.mean,
        "standard_error": summary.error,
        "ci_low": summary.ci_low,
        "ci_high": summary.ci_high,
        "within_run_error": over.within_error,
        "n_runs_not_finite": over.n_not_finite,
        "n_runs_lacking": over.n_lacking,
    }
