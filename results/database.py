"""Read-only access to all runs of an experiments directory. There is no database file: the folder is the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import evolve

from core.config.errors import ConfigError, unknown_name
from core.runs.directory import resolve_run
from core.utils.results import ResultMetadata, ResultRecord
from results.conditions import ACCEPTED, AnyOf, Condition
from results.environments import SPLIT_FIELDS, environment_values
from results.expressions import parse_expression
from results.fields import MISSING, OF_RUNS, PROTOCOL, VERSIONS, config_value, protocol_names, protocol_value
from results.run import Run, config_fields
from results.run_directories import run_directories
from results.run_files import Fault, without_garbage_collection
from results.text.labels import differing_names, measure_labels

ALWAYS = ("id", "status")  # of the run, even if its config has such a field


class ResultsDatabase:
    """The runs of an experiments directory, oldest first.

    The database is iterable and has a length. Filters return a new database. Each file is read at first use. A run that
    cannot be read stays in the list with what could be read of it; ``faults`` lists what could not.

    Example::

        db = ResultsDatabase("experiments")
        for run in db.where("model=unet", "learning_rate<1e-3").filter(status="finished"):
            print(run.id, run.config["seed"], run.results)
    """

    def __init__(self, experiments_dir: str | Path) -> None:
        self.experiments_dir = Path(experiments_dir)
        self._runs: tuple[Run, ...] = tuple(map(Run, run_directories(str(experiments_dir))))

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, run_id: str) -> Run:
        for run in self._runs:
            if run.id == run_id:
                return run
        raise KeyError(run_id)

    def __repr__(self) -> str:
        return f"ResultsDatabase({str(self.experiments_dir)!r}): {len(self)} runs"

    def find(self, spec: str) -> Run:
        """Return the run with this id, unique prefix of an id, or path; ``latest`` names the newest run.

        Raises:
            ConfigError: No run matches, or more than one does.
        """
        path = resolve_run(spec, self.experiments_dir)
        return next((run for run in self._runs if run.id == path.name and run.path == path), None) or Run(path)

    def filter(self, keep: Callable[[Run], bool] | None = None, /, **fields: Any) -> ResultsDatabase:
        """Return the runs that ``keep`` accepts and whose ``id``, ``status`` or config fields equal those given.

        Raises:
            ConfigError: No run has such a field; the nearest one is suggested.
        """
        if self._runs:
            known = {"id", "status", *self.config_fields()}
            for name in fields:
                if name not in known:
                    raise unknown_name("field", name, known)
        return self.only(
            run
            for run in self._runs
            if all(_equal(_field(run, name), wanted) for name, wanted in fields.items()) and (keep is None or keep(run))
        )

    def where(self, *conditions: str) -> ResultsDatabase:
        """Return the runs that meet all conditions, each a text such as ``"learning_rate<1e-3"``.

        A condition tests a config field, ``id``, ``status`` or another field of runs (``results.fields.OF_RUNS``),
        ``model version``, ``dataset version``, the mean of a measure (by name or label), a field of the environment
        such as ``device`` ("unknown" if it was not recorded), or a field of the measures' protocols such as
        ``protocol.split``. A run without the field meets no condition on it but ``no FIELD``, and for a field with
        several values (``tag``, ``protocol.*``) none but ``!=`` and ``not in``.

        Raises:
            ConfigError: A condition cannot be parsed, or no run has its field (the nearest field is suggested).
        """
        chosen = self
        for alternatives in map(parse_expression, conditions):
            if not len(self):
                break
            kept: set[str] = set()
            for parts in alternatives:
                kept |= set.intersection(*(self._meeting(readings) for readings in parts))
            chosen = chosen.only(run for run in chosen if run.id in kept)
        return chosen

    def reading(self, readings: Sequence[Condition]) -> Condition:
        """Return the first reading of a condition whose field exists, else the first."""
        return next((reading for reading in readings if self._knows(reading.field)), readings[0])

    def _meeting(self, readings: Sequence[Condition]) -> set[str]:
        """Return the ids of the runs that meet a condition, in its first reading whose field exists."""
        condition = self.reading(readings)
        try:
            values = self.values_of(condition.field)
        except ConfigError as error:
            raise ConfigError(f"condition {condition.text!r}: {error} Operators: {ACCEPTED}.") from None
        if any(isinstance(value, str) for _, value in values):
            condition = evolve(condition, is_text=True)
        if condition.operator in {"has", "no"}:
            return {run.id for run, value in values if (value is MISSING) == (condition.operator == "no")}
        absent = AnyOf() if _has_several(condition.field, values) else MISSING
        present = [(run, absent if value is MISSING else value) for run, value in values]
        return {run.id for run, value in present if value is not MISSING and condition.holds(value)}

    def values_of(self, name: str) -> list[tuple[Run, Any]]:
        """Return for each run the value of this name.

        The name is that of a config field, a field of runs such as ``status`` or ``started``, a measure (its mean is
        returned), a field of the environment, or a field of the measures' protocols such as ``protocol.split``. The
        value is MISSING for a run that has none, and "unknown" for an environment that was not recorded.

        Raises:
            ConfigError: No run has it (the nearest name is suggested), or several measures share the name.
        """
        with without_garbage_collection():
            if name in ALWAYS or (name in OF_RUNS and name not in self._config_fields):
                return [(run, OF_RUNS[name](run)) for run in self]
            if name in self._config_fields or name in VERSIONS:
                return [(run, config_value(run, name)) for run in self]
            labels = measure_labels(self.metadata())
            named = [metadata for metadata, label in labels.items() if name == label]
            named = named or [metadata for metadata in labels if metadata.name == name]
            if not named and name in SPLIT_FIELDS:
                return [(run, environment_values(run, [name])[name]) for run in self]
            in_protocols = protocol_names(labels)
            if not named and name.removeprefix(PROTOCOL) in in_protocols:
                return [(run, protocol_value(run, name.removeprefix(PROTOCOL))) for run in self]
            if not named:
                known = {*OF_RUNS, *VERSIONS, *self._config_fields, *SPLIT_FIELDS, *labels.values()}
                raise unknown_name("field or measure", name, known | set(in_protocols))
            if len(named) > 1:
                which = ", ".join(repr(labels[metadata]) for metadata in named)
                raise ConfigError(f"{name!r} is ambiguous: it names {which}. Give one of these.")
            return [(run, run.current_measures.get(named[0], {}).get("mean", MISSING)) for run in self]

    def _knows(self, name: str) -> bool:
        if name in self._config_fields or name in {*OF_RUNS, *VERSIONS, *SPLIT_FIELDS}:
            return True
        labels = measure_labels(self.metadata())
        is_measure = any(name in {metadata.name, label} for metadata, label in labels.items())
        return is_measure or name.removeprefix(PROTOCOL) in protocol_names(labels)

    def records(self, **metadata: Any) -> Iterator[tuple[Run, ResultRecord]]:
        """Yield each run with each of its results whose metadata match, such as ``name="loss"`` or ``n_steps=18``.

        Raises:
            ConfigError: ResultMetadata has no such field.
        """
        for run in self:
            for record in run.results.filter(**metadata):
                yield run, record

    def config_fields(self) -> list[str]:
        """Return the names of all config fields that any run has, in order of first appearance."""
        return list(self._config_fields)

    @cached_property
    def _config_fields(self) -> dict[str, None]:
        with without_garbage_collection():
            return dict.fromkeys(config_fields(self._runs))

    def varying_fields(self) -> list[str]:
        """Return the config fields in which the runs differ, including ``seed``.

        A run without a field differs from a run with it. Runs whose config cannot be read are ignored.
        """
        return differing_names([run.config for run in self._runs if run.config])

    def metadata(self) -> dict[ResultMetadata, int]:
        """Return every measure with the number of runs that have it, in order of first appearance."""
        return dict(self._metadata)

    @cached_property
    def _metadata(self) -> dict[ResultMetadata, int]:
        layouts: dict[tuple[int, ...], tuple[Run, int]] = {}  # by identity: runs share metadata, and hashing costs more
        with without_garbage_collection():
            for run in self._runs:
                layout = tuple(map(id, run.measures))
                first, n_runs = layouts.get(layout, (run, 0))
                layouts[layout] = first, n_runs + 1
        counts: Counter[ResultMetadata] = Counter()
        for run, n_runs in layouts.values():
            for metadata in run.measures:
                counts[metadata] += n_runs
        return counts

    def read(self) -> ResultsDatabase:
        """Read config, status and results of every run now, and return self."""
        with without_garbage_collection():
            for run in self._runs:
                run.check()
        return self

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with a row per run and result (needs pandas), see :func:`results.export.rows`."""
        from results import export

        return export.to_pandas(self._runs)

    def to_polars(self) -> Any:
        """Return a polars DataFrame with a row per run and result (needs polars)."""
        from results import export

        return export.to_polars(self._runs)

    def to_csv(self) -> str:
        """Return CSV with a row per run and result."""
        from results import export

        return export.to_csv(self._runs)

    def to_json(self) -> str:
        """Return strict JSON with an object per run."""
        from results import export

        return export.to_json(self._runs)

    @property
    def faults(self) -> list[Fault]:
        """What could not be read so far, and why. A file is read at its first use; ``read`` reads all of them."""
        return [fault for run in self._runs for fault in run.faults]

    def only(self, runs: Iterable[Run]) -> ResultsDatabase:
        """Return a database of only these runs, in this order."""
        chosen = object.__new__(ResultsDatabase)
        chosen.experiments_dir = self.experiments_dir
        with without_garbage_collection():
            chosen._runs = tuple(runs)
        return chosen


def _field(run: Run, name: str) -> object:
    return OF_RUNS[name](run) if name in ALWAYS else config_value(run, name)


def _has_several(name: str, values: Sequence[tuple[Run, Any]]) -> bool:
    return name == "tag" or any(isinstance(value, AnyOf) for _, value in values)


def _equal(actual: object, wanted: object) -> bool:
    return actual == (list(wanted) if isinstance(wanted, tuple) else wanted)
