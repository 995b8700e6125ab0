"""Export runs and results as flat rows, for pandas, polars and CSV, or as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from typing import Any

import attrs

from core.runs.strict_json import dumps
from core.utils.results import ResultSource
from results.run import Run, config_fields
from results.text.escaping import csv_cell, csv_text

EXPORT_SCHEMA = "pyml.export/1"
_RESULT = ("mean", "error", "n", "n_nan", "n_inf")
_METADATA = ("name", "n_steps", "n_samples", "unit", "protocol", "higher_is_better", "role", "kind")
_SOURCE = ("step", "digest", "weights", "sample_seed")


def rows(runs: Collection[Run]) -> Iterator[dict[str, Any]]:
    """Yield one flat row per run and result.

    The columns are run, status, tags, note, config.*, measure.*, mean, error, n, n_nan, n_inf, source.* and is_stale.
    A run without results has one row whose result columns are None. The column measure.protocol holds strict JSON.
    """
    fields = config_fields(runs)
    for run in runs:
        about = {
            "run": run.id,
            "status": run.status.state,
            "tags": ", ".join(run.tags.tags),
            "note": run.tags.note,
            **{f"config.{name}": run.config.get(name) for name in fields},
        }
        if not run.measures:
            names = [f"measure.{name}" for name in _METADATA], _RESULT, [f"source.{name}" for name in _SOURCE]
            yield about | dict.fromkeys([name for part in names for name in part] + ["is_stale"])
        for metadata, result in run.measures.items():
            measure = {f"measure.{name}": getattr(metadata, name) for name in _METADATA}
            measure["measure.protocol"] = dumps(dict(metadata.protocol))
            source = run.sources.get(metadata, ResultSource())
            measured_on = {f"source.{name}": getattr(source, name) for name in _SOURCE}
            numbers = {name: result[name] for name in _RESULT}
            yield about | measure | numbers | measured_on | {"is_stale": metadata in run.stale}


def to_csv(runs: Collection[Run]) -> str:
    """Return the rows as CSV. Unknown numbers are empty cells. Text that looks like a formula gets an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for i, row in enumerate(rows(runs)):
        if i == 0:
            writer.writerow(map(csv_text, row))
        writer.writerow(map(csv_cell, row.values()))
    return file.getvalue()


def to_json(runs: Collection[Run]) -> str:
    """Return strict JSON with one object per run: its config, plugins, status and results."""
    content = [
        {
            "run": run.id,
            "status": attrs.asdict(run.status),
            **attrs.asdict(run.tags),
            "config": dict(run.config),
            "plugins": dict(run.plugins),
            "results": [
                {
                    "metadata": {**attrs.asdict(metadata), "protocol": dict(metadata.protocol)},
                    "result": dict(result),
                    "source": attrs.asdict(run.sources[metadata]) if metadata in run.sources else None,
                    "is_stale": metadata in run.stale,
                }
                for metadata, result in run.measures.items()
            ],
        }
        for run in runs
    ]
    return dumps({"schema": EXPORT_SCHEMA, "runs": content}, indent=1) + "\n"


def to_pandas(runs: Collection[Run]) -> Any:
    """Return the rows as a pandas DataFrame.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("to_pandas needs pandas, which is not installed; try: pip install pandas") from None
    return pd.DataFrame(list(rows(runs)))


def to_polars(runs: Collection[Run]) -> Any:
    """Return the rows as a polars DataFrame.

    Raises:
        ImportError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError:
        raise ImportError("to_polars needs polars, which is not installed; try: pip install polars") from None
    return pl.DataFrame(list(rows(runs)), infer_schema_length=None)
