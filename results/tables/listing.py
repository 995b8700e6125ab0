"""The list of runs: one row each, with its status and its main results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.config.errors import unknown_name
from core.utils.results import ResultMetadata
from core.utils.tables import aligned
from results.database import MISSING, ResultsDatabase
from results.run import Run
from results.run_files import without_garbage_collection
from results.staleness import MARK
from results.text.durations import PLAIN, Unit, unit_of
from results.text.labels import differing_names, printable, spell
from results.text.numbers import aligned_at_error, known_error

NOTHING = "-"
MOST_DIFFERING = 4  # fields shown of runs without a model


def list_runs(database: ResultsDatabase, measures: Mapping[ResultMetadata, str], fields: Sequence[str]) -> str:
    """Return a table of the runs: id, config fields, status, and the measures as mean ± error within the run."""
    with without_garbage_collection():
        columns = [("run", [printable(run.id) for run in database])]
        columns += [(name, [field_text(run, name) for run in database]) for name in fields]
        columns.append(("status", [str(run.status) for run in database]))
        for metadata, label in measures.items():
            texts = [_result_text(run, metadata) for run in database]
            columns.append((label, aligned_at_error(texts)))
        return aligned([name for name, _ in columns], list(zip(*(cells for _, cells in columns), strict=True)))


def listed_fields(database: ResultsDatabase, asked_for: Sequence[str]) -> list[str]:
    """Return the config fields of a list: model and seed, the data set where it varies, and those asked for.

    Runs without a field "model" are told apart by the first fields in which they differ.

    Raises:
        ConfigError: No run has a field that was asked for; the nearest one is named.
    """
    known = database.config_fields()
    for name in asked_for:
        if name not in known:
            raise unknown_name("config field", name, known)
    datasets = [{"dataset": run.config["dataset"]} if "dataset" in run.config else {} for run in database if run.config]
    usual = ["model", *differing_names(datasets), "seed"]
    if known and "model" not in known:
        differing = differing_names([run.config for run in database if run.config])
        usual = [name for name in [*differing[:MOST_DIFFERING], "seed"] if name in known]
    return list(dict.fromkeys([*usual, *asked_for]))


def sort_runs(database: ResultsDatabase, by: str, reverse: bool = False) -> ResultsDatabase:
    """Return the runs sorted by id, status, a config field, or a measure's mean; runs without a value come last.

    Raises:
        ConfigError: No run has such a field or measure; the nearest one is named.
    """
    values = database.values_of(by)
    present = [(run, value) for run, value in values if _is_sortable(value)]
    if all(isinstance(value, int | float) for _, value in present):
        present.sort(key=lambda pair: float(pair[1]), reverse=reverse)
    else:
        present.sort(key=lambda pair: spell(pair[1]), reverse=reverse)
    return database.only([*(run for run, _ in present), *(run for run, value in values if not _is_sortable(value))])


def field_text(run: Run, name: str) -> str:
    """Return a config value of a run as a cell."""
    value = run.config.get(name, NOTHING)
    return printable(value if isinstance(value, str) else spell(value))


def _result_text(run: Run, metadata: ResultMetadata) -> str:
    fields = run.measures.get(metadata)
    text = NOTHING if fields is None else result_text(fields, unit_of(metadata, fields["mean"]))
    return f"{text} {MARK}" if run.stale and metadata in run.stale else text


def result_text(fields: Mapping[str, Any], unit: Unit = PLAIN) -> str:
    """Return a result as a cell: mean ± error, and how many observations were not finite.

    Args:
        fields: The fields of its ScalarResult.
        unit: The unit in which it is printed.
    """
    error = known_error(fields["error"], fields["n"])
    text = unit.mean_error(fields["mean"], error)
    if error != fields["error"] and fields["error"] == 0:
        text += f" (all {fields['n']:,} observations are equal)"
    not_finite = fields["n_nan"] + fields["n_inf"]
    return f"{text} ({not_finite:,} not finite)" if not_finite else text


def _is_sortable(value: object) -> bool:
    return value is not None and value is not MISSING and value == value  # NaN has no place in an order
