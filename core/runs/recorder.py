"""Saving results and values per sample in a run directory, under one evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.runs.observations import as_result
from core.runs.result_log import log_record
from core.runs.sample_values import save_values
from core.runs.tracking import Tracker
from core.utils.metadata import ResultMetadata
from core.utils.records import ResultRecord, ResultSource


class Recorder(ABC):
    """The part of ``Run`` that saves results. It keeps their metadata, which ``save_values`` needs."""

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self._trackers = trackers
        self._logged: dict[str, list[ResultMetadata]] = {}
        self._n_records = 0

    @property
    @abstractmethod
    def path(self) -> Path:
        """The run directory."""

    @property
    @abstractmethod
    def evaluation(self) -> str:
        """Id under which results are saved."""

    @abstractmethod
    def _check_open(self, what: str) -> None:
        """Raise RuntimeError unless results can be saved now."""

    def log_result(
        self,
        name: str,
        value: Any,
        *,
        unit: str = "sample",
        protocol: Mapping[str, Any] | None = None,
        higher_is_better: bool | None = None,
        n_steps: int | None = None,
        n_samples: int | None = None,
        role: str = "primary",
        kind: str | None = None,
        source: ResultSource | None = None,
        cluster_ids: Any = None,
    ) -> ResultRecord:
        """Save a result with its error, print it, and return its record.

        Args:
            name: What was measured.
            value: Observations, one per element (array, tensor, list): their mean and standard error are saved. Or a
                Meter, whose measure ``name`` is saved; a ScalarResult; or a number, whose error is unknown.
            unit: The unit of replication, which one observation stands for: "image", "batch", ...
            protocol: What must be equal for two numbers to be comparable, such as ``{"split": "test"}``.
            higher_is_better: The good direction, or None.
            n_steps: Sampler steps, where a sampler was used.
            n_samples: Generated samples, where there are any.
            role: "primary", "part" or "reference", see ResultMetadata.
            kind: "mean" or "proportion", whose observations lie from 0 to 1; None: "proportion" if every observation is
                0 or 1, else "mean".
            source: What was measured: checkpoint step and digest, weights, sample seed.
            cluster_ids: One integer or string per observation, equal for those that belong together, such as questions
                about one text. The error then allows for the clusters, and its n is their number.

        Raises:
            TypeError, ValueError: An argument is not accepted. Nothing has been saved.
            RuntimeError: The run is not open.
            OSError: The record could not be saved.
        """
        self._check_open("log_result")
        result, kind = as_result(name, value, cluster_ids, kind)
        metadata = ResultMetadata(name, n_steps, n_samples, unit, protocol or {}, higher_is_better, role, kind)
        record = ResultRecord(metadata, result, source)
        self.log_record(record)
        return record

    def log_record(self, record: ResultRecord) -> None:
        """Save a finished record and print it; see ``log_result``, which makes the record, too."""
        self._check_open("log_record")
        log_record(record, self.path, evaluation=self.evaluation)
        self._n_records += 1
        for tracker in self._trackers:
            tracker.result(record)
        known = self._logged.setdefault(record.metadata.name, [])
        if record.metadata not in known:
            known.append(record.metadata)

    def save_values(
        self,
        name: str,
        sample_ids: Any,
        values: Any,
        *,
        metadata: ResultMetadata | None = None,
        cluster_ids: Any = None,
    ) -> Path:
        """Save the value of each sample, so that two runs can be compared sample by sample; return the file.

        Args:
            name: Name of the result whose mean is over these values. Log the result first.
            sample_ids: Integers that name the samples, the same for every run; each occurs once.
            values: One number per sample.
            metadata: The result's metadata, where several results have this name.
            cluster_ids: One integer per sample, equal for samples that belong together, such as several draws of one
                image; comparisons then use clustered standard errors. None: the samples are independent.

        Raises:
            ValueError: No or several results of this name were logged here, or the arrays do not fit.
            RuntimeError: The run is not open.
        """
        self._check_open("save_values")
        known = self._logged.get(name, [])
        if metadata is None and len(known) != 1:
            why = "none has been logged in this block; call log_result first" if not known else "give metadata=..."
            raise ValueError(f"save_values: {len(known)} results have the name {name!r}: {why}.")
        path = save_values(self.path, self.evaluation, name, sample_ids, values, metadata or known[0], cluster_ids)
        assert path is not None  # an open run has an evaluation
        return path
