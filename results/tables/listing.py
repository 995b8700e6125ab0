"""The list of runs: one row each, with its status and its main results; which rows and columns, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.utils.results import ResultMetadata
from core.utils.tables import aligned
from results.database import ResultsDatabase
from results.fields import MISSING, ages_s, as_text, config_value
from results.moments import age_text, span_text
from results.run import Run, distinct_configs
from results.run_files import without_garbage_collection
from results.staleness import MARK
from results.text.durations import PLAIN, Unit, unit_of
from results.text.labels import differing_names, is_time, printable, spell
from results.text.numbers import aligned_at_error, known_error, mean_error

NOTHING = "-"
LONGEST_REASON = 60  # characters
USUAL = ("model", "seed")
MOST_DIFFERING = 4  # fields shown of runs of one's own loops
OF_PYML_TRAIN = ("model", "dataset", "split_seed")  # fields that every config of pyml-train has


def list_runs(database: ResultsDatabase, measures: Mapping[ResultMetadata, str], fields: Sequence[str]) -> str:
    """Return a table of the runs: id, config fields, status, and the measures as mean ± error within the run."""
    with without_garbage_collection():
        columns = [("run", [printable(run.id) for run in database])]
        columns += [(name, _field_texts(database, name)) for name in fields]
        columns.append(("status", [str(run.status) for run in database]))
        columns += _times(database)
        if any(run.tags.tags for run in database):
            columns.append(("tags", [", ".join(run.tags.tags) or NOTHING for run in database]))
        for metadata, label in measures.items():
            columns.append((label, aligned_at_error(_result_texts(database, metadata))))
        if any(reasons := [reason_text(run) for run in database]):
            columns.append(("reason", reasons))
        return aligned([name for name, _ in columns], list(zip(*(cells for _, cells in columns), strict=True)))


def listed_fields(database: ResultsDatabase, asked_for: Sequence[str]) -> list[str]:
    """Return the config fields of a list: model and seed, the data set where it varies, and those asked for.

    Runs of one's own loops are told apart by the first fields in which they differ.

    Raises:
        ConfigError: No run has a field that was asked for; the nearest one is named.
    """
    known = database.config_fields()
    for name in asked_for:
        database.values_of(name)
    configs = distinct_configs(database)
    datasets = [{"dataset": config["dataset"]} if "dataset" in config else {} for config in configs]
    usual = [USUAL[0], *differing_names(datasets), *USUAL[1:]]
    if known and not set(known).issuperset(OF_PYML_TRAIN):
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


def reason_text(run: Run) -> str:
    """Return why a run failed or was interrupted, on one line and cut after ``LONGEST_REASON`` characters; else ""."""
    status = run.status
    if status.state not in {"failed", "interrupted"} or not status.reason:
        return ""
    reason = printable(" ".join(status.reason.split()))
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"


def _times(database: ResultsDatabase) -> list[tuple[str, list[str]]]:
    """Return the columns of age and duration; none if no run recorded its times."""
    now = datetime.now(UTC)
    times = [ages_s(run, now) for run in database]
    columns = []
    for name, write, found in (
        ("age", age_text, [age for age, _ in times]),
        ("duration", span_text, [duration for _, duration in times]),
    ):
        if any(seconds is not None for seconds in found):
            columns.append((name, [NOTHING if seconds is None else write(seconds) for seconds in found]))
    return columns


def _field_texts(database: ResultsDatabase, name: str) -> list[str]:
    is_config = name in USUAL or name in database.config_fields()  # the usual columns stay where no config can be read
    values = [config_value(run, name) for run in database] if is_config else [v for _, v in database.values_of(name)]
    return [value_text(value) for value in values]


def value_text(value: object) -> str:
    """Return a value of a field as a cell."""
    if value is MISSING:
        return NOTHING
    shown = value if isinstance(value, str) else as_text(value)
    return printable(shown if isinstance(shown, str) else spell(shown))


def _result_texts(database: ResultsDatabase, metadata: ResultMetadata) -> list[str]:
    """Return the column of a measure."""
    texts, has_unit = [], is_time(metadata)
    for run in database:
        fields = run.measures.get(metadata)
        unit = unit_of(metadata, fields["mean"]) if has_unit and fields is not None else PLAIN
        text = NOTHING if fields is None else result_text(fields, unit)
        texts.append(f"{text} {MARK}" if run.sources and metadata in run.stale else text)
    return texts


def result_text(fields: Mapping[str, Any], unit: Unit = PLAIN) -> str:
    """Return a result as a cell: mean ± error, and how many observations were not finite.

    Args:
        fields: The fields of its ScalarResult.
        unit: The unit in which it is printed.
    """
    error = known_error(fields["error"], fields["n"])
    mean = fields["mean"]
    text = mean_error(mean, error) if unit is PLAIN and error == error else unit.mean_error(mean, error)
    if error != fields["error"] and fields["error"] == 0:
        text += " (all equal)"  # `runs show` says of how many observations; here columns must stay narrow
    not_finite = fields["n_nan"] + fields["n_inf"]
    return f"{text} ({not_finite:,} not finite)" if not_finite else text


def _is_sortable(value: object) -> bool:
    return value is not None and value is not MISSING and value == value  # NaN has no place in an order
