"""Comparisons as JSON: every number in full, for programs."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import attrs

from core.runs.strict_json import dumps
from core.utils.results import ResultMetadata
from results.comparison.comparison import Comparison
from results.comparison.findings import findings_json
from results.comparison.outcome import Outcome
from results.comparison.relative_kl import relative_kl
from results.groups import Group, UnknownSeed
from results.over_runs import over_runs_numbers
from results.run import Run

SCHEMA = "pyml.comparison/1"


def comparisons_json(outcome: Outcome) -> str:
    """Return strict JSON, in which NaN (unknown) is null."""
    content = {
        "schema": SCHEMA,
        "comparisons": [_comparison(one, outcome.delta) for one in outcome.comparisons],
        "not_compared": list(outcome.refused),
        "only_failures": [
            {"a": one.a.label, "b": one.b.label, **attrs.asdict(one.failures)} for one in outcome.only_failures
        ],
        "mixed": outcome.mixed,
    }
    return dumps(content, indent=2)


def _comparison(one: Comparison, delta: float | None) -> dict[str, Any]:
    content: dict[str, Any] = {
        "measure": {**attrs.asdict(one.metadata), "protocol": dict(one.metadata.protocol)},
        "label": one.label,
        "role": one.role,
        "in_family": one.in_family,
        "a": {**_group(one.a, one.values_a, one.metadata), **over_runs_numbers(one.over_a)},
        "b": {**_group(one.b, one.values_b, one.of_b), **over_runs_numbers(one.over_b)},
        "test": attrs.asdict(one.test),
        "relative_kl": None if (kl := relative_kl(one.metadata)) is None else attrs.asdict(kl),
        "level": one.level,
        "n_family": one.n_family,
        "test_level": one.test_level,
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


def _group(group: Group, keys: Collection[Any], metadata: ResultMetadata) -> dict[str, Any]:
    """Describe one side: the replicates that were compared, and the runs that were not, with the reason."""
    compared = {key: run for key, run in group.replicates_with(metadata).items() if key in keys}
    ids = {run.id for run in compared.values()}
    return {
        "label": group.label,
        "seeds": [None if isinstance(key, UnknownSeed) else key for key in compared],
        "runs": [run.id for run in compared.values()],
        "left_out": {run.id: _why_left_out(group, run, metadata) for run in group.runs if run.id not in ids},
    }


def _why_left_out(group: Group, run: Run, metadata: ResultMetadata) -> str:
    if run.status.state != "finished":
        return run.status.state
    if run in group.replicates_with(metadata).values():
        fields = run.current_measures[metadata]
        return "no partner" if math.isfinite(fields["mean"]) else "not finite"
    if metadata in run.stale:
        return "stale"
    return "run again" if metadata in run.measures else "no such result"
