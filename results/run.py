"""One run, read from its directory when it is asked for something and never written to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.runs.config_fields import dotted
from core.runs.config_file import CONFIG
from core.runs.fast_results import Measures, NewestResults, Sources, read_results
from core.runs.files import Fault, RunFile
from core.runs.metrics import read_curve
from core.runs.status import STATUS, RunState, run_state
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, ResultSource, ScalarResult

if TYPE_CHECKING:
    from core.runs.result_log import LoggedRecord, ResultLog


class Run:
    """A run: id, path, config, status, results. Each file is read once, at first use; what fails becomes a fault.

    Attributes:
        id: The name of its directory.
        path: The directory.
        faults: What could not be read of the files that were asked for so far.
    """

    def __init__(self, path: str | Path) -> None:
        self._directory = str(path)
        self.id = os.path.basename(self._directory) or Path(path).resolve().name  # noqa: PTH119 - 10,000 in 5 ms
        self.faults: list[Fault] = []

    @property
    def path(self) -> Path:
        """The run's directory."""
        return Path(self._directory)

    def __repr__(self) -> str:
        return f"Run({self._directory!r})"

    @cached_property
    def _saved_config(self) -> Mapping[str, Any]:
        return self._read(CONFIG) or {}

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The hyperparameters by name, as config.json holds them, nested ones by dotted names such as "optimizer.lr";
        empty where it cannot be read.
        """
        config = self._saved_config.get("config")
        return dotted(config) if isinstance(config, dict) else {}

    @cached_property
    def plugins(self) -> Mapping[str, Mapping[str, str]]:
        """For "model" and "dataset" the name, distribution and version that served them."""
        plugins = self._saved_config.get("plugins")
        if not isinstance(plugins, dict):
            return {}
        return {
            kind: {name: str(value) for name, value in plugin.items()}
            for kind, plugin in plugins.items()
            if isinstance(plugin, dict)
        }

    def versions(self) -> dict[str, str]:
        """Return for "model version" and "dataset version" the distribution and version that served them."""
        return {
            f"{kind} version": f"{plugin.get('distribution')} {plugin.get('version')}"
            for kind, plugin in self.plugins.items()
        }

    @cached_property
    def status(self) -> RunState:
        """How the run is doing, dead ones told apart from running ones."""
        return run_state(self._read(STATUS))

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """What the run ran on; empty where it cannot be read."""
        from core.runs.environment import ENVIRONMENT

        return self._read(ENVIRONMENT) or {}

    @property
    def packages(self) -> Mapping[str, Any]:
        """The versions of the installed packages, by name; empty where they cannot be read."""
        packages = self.environment.get("packages")
        return packages if isinstance(packages, dict) else {}

    @property
    def code_version(self) -> str:
        """The model's distribution and version with the commit, such as "pyml-core 0.1.0, 1a2b3c4d5e6f (dirty)"."""
        model = self.plugins.get("model", {})
        parts = [f"{model['distribution']} {model['version']}"] if {"distribution", "version"} <= set(model) else []
        commit = self.environment.get("git_commit")
        if commit:
            parts.append(str(commit)[:12] + (" (dirty)" if self.environment.get("git_dirty") else ""))
        return ", ".join(parts) or "unknown"

    @cached_property
    def _newest(self) -> NewestResults:
        newest = read_results(self._directory)
        self.faults.extend(newest.faults)
        return newest

    @property
    def measures(self) -> Measures:
        """The newest complete result per metadata, as plain dicts of a ScalarResult's fields: the fast way to many."""
        return self._newest.measures

    @property
    def sources(self) -> Sources:
        """What each newest result was measured on, by metadata; results that do not say are not in it."""
        return self._newest.sources

    @cached_property
    def last_step(self) -> int | None:
        """The training step that the run has reached, or None if nothing says it."""
        step = self.status.step
        if self.status.state == "finished" and step is not None:
            return step
        # a run that was killed, or that still runs, may have gone on since its last heartbeat
        steps = [point.step for point in read_curve(self._directory)[0][-1:]]
        return max([*steps, *([] if step is None else [step])], default=None)

    @cached_property
    def stale(self) -> Sources:
        """The newest results whose checkpoint the run has since trained on from, with what they were measured on."""
        return {metadata: source for metadata, source in self.sources.items() if self._is_stale(source)}

    def _is_stale(self, source: ResultSource | None) -> bool:
        if source is None or source.step is None:
            return False
        return self.last_step is not None and source.step < self.last_step

    @cached_property
    def current_measures(self) -> Measures:
        """``measures`` without the stale ones: the results that count."""
        stale = self.stale
        return {m: fields for m, fields in self.measures.items() if m not in stale} if stale else self.measures

    @property
    def results(self) -> ResultCollection:
        """The newest complete result per metadata, including the stale ones."""
        return ResultCollection(
            ResultRecord(metadata, ScalarResult(**dict(f)), self.sources.get(metadata))
            for metadata, f in self.measures.items()
        )

    def result(self, metadata: ResultMetadata) -> ScalarResult | None:
        """Return the newest complete result of exactly this metadata, or None."""
        fields = self.measures.get(metadata)
        return None if fields is None else ScalarResult(**fields)

    def log(self) -> ResultLog:
        """Read every record, those of older and of incomplete evaluations included."""
        from core.runs.result_log import read_result_log

        return read_result_log(self.path)

    def complete_entries(self, metadata: ResultMetadata) -> list[LoggedRecord]:
        """Return every record of a measure, of complete evaluations and not stale, oldest first."""
        entries = [entry for entry in self.log().entries if entry.is_complete and entry.record.metadata == metadata]
        return [entry for entry in entries if not self._is_stale(entry.record.source)]

    def check(self) -> list[Fault]:
        """Read config, status and results, and return what of them could not be read."""
        _ = self.config, self.status, self.measures
        return self.faults

    def _read(self, file: RunFile) -> dict[str, Any] | None:
        content = file.read(self._directory)
        if isinstance(content, Fault):
            self.faults.append(content)
            return None
        return content


def config_fields(runs: Iterable[Run]) -> list[str]:
    """Return the names of all fields that any run's config has, in order of first appearance."""
    layouts = dict.fromkeys(tuple(run.config) for run in runs)  # few: one per config class
    return list(dict.fromkeys(name for layout in layouts for name in layout))
