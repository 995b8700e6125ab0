"""Results of runs as Every Eval Ever JSON: one document per run, with standard errors, intervals and n.

Source: arXiv:2606.14516, and version 0.3.0 of the schema in github.com/evaleval/every_eval_ever.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import Any

from attrs import frozen

from core.runs.strict_json import dumps
from core.utils.results import ResultMetadata, ScalarResult
from results.run import Run
from results.text.labels import is_time
from results.text.proportions import interval_of, is_proportion

SCHEMA_VERSION = "0.3.0"
RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")
LEVEL = 0.95
UNKNOWN = "unknown"


@frozen
class Publisher:
    """What the format asks for, but a run directory does not hold.

    Attributes:
        organisation: Who reports the results.
        relationship: Who evaluated, relative to the model's developer: one of ``RELATIONSHIPS``.
        higher: Patterns of names for which higher is better, where the result does not say.
        lower: Patterns of names for which lower is better.
    """

    organisation: str = UNKNOWN
    relationship: str = "first_party"
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()

    def lower_is_better(self, metadata: ResultMetadata) -> bool | None:
        """Return whether lower is better, which the format requires; None if nobody says so."""
        if metadata.higher_is_better is not None:
            return not metadata.higher_is_better
        for patterns, answer in ((self.higher, False), (self.lower, True)):
            if any(fnmatchcase(metadata.name, pattern) for pattern in patterns):
                return answer
        return None


def document(
    run: Run, publisher: Publisher, wanted: Collection[ResultMetadata] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the document of one run, and a sentence for each result that cannot stand in it.

    Args:
        run: The run. Its stale results are left out.
        publisher: What the run does not know.
        wanted: The measures to export; None for all except times.
    """
    results, left_out = _results(run, publisher, wanted)
    model = str(run.config.get("model") or UNKNOWN)
    content = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{publisher.organisation}/{model}/{run.id}",
        "retrieved_timestamp": str(int(time.time())),
        "source_metadata": {
            "source_name": "run directory of pyml-core",
            "source_type": "evaluation_run",
            "source_organization_name": publisher.organisation,
            "evaluator_relationship": publisher.relationship,
        },
        "eval_library": _library(run),
        "model_info": {
            "name": model,
            "id": f"{publisher.organisation}/{model}",
            "additional_details": {
                **_texts((f"config.{name}", value) for name, value in run.config.items()),
                "deployment_type": UNKNOWN,
                "model_availability": UNKNOWN,
            },
        },
        "evaluation_results": results,
    }
    if run.status.finished_at:
        content["evaluation_timestamp"] = run.status.finished_at
    return content, left_out


def _results(
    run: Run, publisher: Publisher, wanted: Collection[ResultMetadata] | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the run's scores, and a sentence for each result that is none."""
    results, left_out = [], []
    for metadata, fields in run.current_measures.items():
        if is_time(metadata) if wanted is None else metadata not in wanted:
            continue
        lower = publisher.lower_is_better(metadata)
        if not math.isfinite(fields["mean"]):
            left_out.append(f"{run.id}: {metadata.name} is {fields['mean']}, which is no score")
        elif lower is None:
            left_out.append(f"{run.id}: {metadata.name} does not say which direction is better (--higher, --lower)")
        else:
            results.append(_result(run, metadata, ScalarResult(**dict(fields)), lower))
    return results, left_out


def _result(run: Run, metadata: ResultMetadata, result: ScalarResult, lower_is_better: bool) -> dict[str, Any]:
    is_share = metadata.kind == "proportion"
    left_out = [("observations_left_out_as_nan", result.n_nan)] if result.n_nan else []
    metric = {
        "evaluation_description": str(metadata),
        "metric_name": metadata.name,
        "metric_id": metadata.name,
        "lower_is_better": lower_is_better,
        "score_type": "continuous",
        "min_score": 0.0 if is_share else None,  # null: not provided
        "max_score": 1.0 if is_share else None,
        "additional_details": _texts([("unit_of_replication", metadata.unit), ("role", metadata.role), *left_out]),
    }
    if is_share:
        metric["metric_unit"] = "proportion"
    return {
        "evaluation_result_id": f"{run.id}/{metadata}",
        "evaluation_name": metadata.name,
        "source_data": {
            "dataset_name": str(dict(metadata.protocol).get("dataset") or run.config.get("dataset") or UNKNOWN),
            "source_type": "other",
            "additional_details": _texts([*metadata.protocol, *metadata.sampling()]),
        },
        "metric_config": metric,
        "score_details": {"score": result.mean, "uncertainty": _uncertainty(metadata, result)},
    }


def _uncertainty(metadata: ResultMetadata, result: ScalarResult) -> dict[str, Any]:
    """Return the error, the interval and n, each where it is known."""
    known: dict[str, Any] = {}
    error = result.shown_error()
    if math.isfinite(error):
        known["standard_error"] = {"value": error, "method": "analytic"}
    wilson = is_proportion(metadata.kind, {"mean": result.mean, "n": result.n})
    low, high = interval_of(result.mean, result.n or 0, result.error, LEVEL) if wilson else result.interval(LEVEL)
    if math.isfinite(low) and math.isfinite(high):
        method = "Wilson's score interval" if wilson else "Student's t, n - 1 degrees of freedom"
        known["confidence_interval"] = {"lower": low, "upper": high, "confidence_level": LEVEL, "method": method}
    if result.n is not None:
        known["num_samples"] = result.n
    return known


def _library(run: Run) -> dict[str, str]:
    """Return what evaluated: this package, of the version that the run recorded; unknown for an imported run."""
    version = run.packages.get("pyml-core")
    if run.environment.get("mlflow_run_id") or not version:
        return {"name": UNKNOWN, "version": UNKNOWN}
    return {"name": "pyml-core", "version": str(version)}


def _texts(pairs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return values as texts, which is all that the format's additional details may hold."""
    return {name: value if isinstance(value, str) else dumps(value) for name, value in pairs}
