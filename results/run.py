"""Read-only access to one run directory. Each file is read at its first use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.runs.evaluations import read_requests
from core.runs.fast_config import FastConfig, Template, read_config
from core.runs.fast_results import Measures, NewestResults, Sources, read_results
from core.runs.files import Fault, RunFile
from core.runs.metrics import best_step, read_curve
from core.runs.status import STATUS, RunState, run_state
from core.runs.tags import NONE, Tags, read_tags
from core.utils.metadata import BEST, checkpoint_of
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, ResultSource, ScalarResult

if TYPE_CHECKING:
    from core.runs.result_log import LoggedRecord, ResultLog


class Run:
    """One run: id, path, config, status and results.

    Each file is read once, at its first use. A file that cannot be read is added to ``faults``.

    Attributes:
        id: The name of its directory.
        path: The directory.
        faults: What could not be read so far, and why.
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

    def _repr_html_(self) -> str:
        from core.runs.notebook import run_html

        return run_html(self.id, self.status, self.config, self.results)

    @cached_property
    def _saved_config(self) -> FastConfig | None:
        saved = read_config(self._directory)
        if isinstance(saved, Fault):
            self.faults.append(saved)
            return None
        return saved

    @property
    def config(self) -> Mapping[str, Any]:
        """The hyperparameters by name, as in config.json; empty if it cannot be read.

        Fields of a nested config have dotted names, such as "optimizer.lr".
        """
        return self._saved_config.config if self._saved_config else {}

    @property
    def config_template(self) -> Template | None:
        """The part of the config that runs which differ only in seed share; None if it cannot be read."""
        return self._saved_config.template if self._saved_config else None

    @property
    def plugins(self) -> Mapping[str, Mapping[str, str]]:
        """The name, distribution and version of the plugins that provided "model" and "dataset"."""
        return self._saved_config.template.plugins if self._saved_config else {}

    def versions(self) -> dict[str, str]:
        """Return the distribution and version of both plugins, under "model version" and "dataset version"."""
        return {
            f"{kind} version": f"{plugin.get('distribution')} {plugin.get('version')}"
            for kind, plugin in self.plugins.items()
        }

    @cached_property
    def status(self) -> RunState:
        """The run's state, such as finished or running. A run whose process has died is "dead", not "running"."""
        return run_state(self._read(STATUS))

    @cached_property
    def tags(self) -> Tags:
        """The run's tags and note, and whether it is archived. Empty if they cannot be read."""
        found = read_tags(self._directory)
        if isinstance(found, Fault):
            self.faults.append(found)
            return NONE
        return found

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """The environment that the run recorded; empty if it cannot be read."""
        from core.runs.environment import ENVIRONMENT

        return self._read(ENVIRONMENT) or {}

    @cached_property
    def environment_fields(self) -> Mapping[str, Any]:
        """The environment without its list of packages, which is long; empty if it cannot be read."""
        from core.runs.environment import read_environment_fields

        return read_environment_fields(self._directory)

    @property
    def packages(self) -> Mapping[str, Any]:
        """The versions of the installed packages by name; empty if they cannot be read."""
        packages = self.environment.get("packages")
        return packages if isinstance(packages, dict) else {}

    @property
    def code_version(self) -> str:
        """The model's distribution, version and commit, such as "pyml-core 0.1.0, 1a2b3c4d5e6f (dirty)"."""
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
        """The newest complete result of each measure, as dicts of ScalarResult's fields; faster than ``results``."""
        return self._newest.measures

    @property
    def sources(self) -> Sources:
        """The source of each newest result, by metadata. Results without a source are left out."""
        return self._newest.sources

    @cached_property
    def last_step(self) -> int | None:
        """The training step that the run has reached, or None if it is unknown."""
        step = self.status.step
        if self.status.state == "finished" and step is not None:
            return step
        # a run that was killed, or that still runs, may have gone on since its last heartbeat
        steps = [point.step for point in read_curve(self._directory)[0][-1:]]
        return max([*steps, *([] if step is None else [step])], default=None)

    @cached_property
    def stale(self) -> Sources:
        """The newest results that are stale, with their sources.

        The run has trained beyond the source's step. A result of the best checkpoint is stale if the run has found a
        better one; that of a checkpoint of one step never is.
        """
        sources = self.sources
        return {m: source for m, source in sources.items() if self._is_stale(m, source)} if sources else {}

    @cached_property
    def best_step(self) -> int | None:
        """The training step of the lowest validation loss, or None if the run has none."""
        return best_step(self._directory)

    def _is_stale(self, metadata: ResultMetadata, source: ResultSource | None) -> bool:
        """Return whether the run has trained on since, or, of the best checkpoint, found a better one."""
        if source is None or source.step is None or self.last_step is None or source.step >= self.last_step:
            return False
        checkpoint = checkpoint_of(metadata)
        if checkpoint == BEST:
            return self.best_step is not None and source.step != self.best_step
        return checkpoint is None

    @cached_property
    def current_measures(self) -> Measures:
        """``measures`` without stale results: the results that count."""
        stale = self.stale
        return {m: fields for m, fields in self.measures.items() if m not in stale} if stale else self.measures

    @property
    def results(self) -> ResultCollection:
        """The newest complete result of each measure, including stale ones."""
        return ResultCollection(
            ResultRecord(metadata, ScalarResult(**dict(f)), self.sources.get(metadata))
            for metadata, f in self.measures.items()
        )

    def result(self, metadata: ResultMetadata) -> ScalarResult | None:
        """Return the newest complete result with exactly this metadata, or None."""
        fields = self.measures.get(metadata)
        return None if fields is None else ScalarResult(**fields)

    def recorded(self, metadata: ResultMetadata) -> ResultMetadata:
        """Return equal metadata as this run recorded them: their role and kind may be others. Itself if it has none."""
        # the name first, which is cheaper: a table of 10,000 single runs asks for 100,000 of these
        return next((own for own in self.measures if own.name == metadata.name and own == metadata), metadata)

    def log(self) -> ResultLog:
        """Read all records, including those of older and incomplete evaluations."""
        from core.runs.result_log import read_result_log

        return read_result_log(self.path)

    def evaluation_requests(self) -> dict[str, dict[str, Any]]:
        """Return the settings of each evaluation by its id; a file that cannot be read is added to ``faults``."""
        requests = read_requests(self._directory)
        self.faults.extend(found for found in requests.values() if isinstance(found, Fault))
        return {evaluation: found for evaluation, found in requests.items() if not isinstance(found, Fault)}

    def complete_entries(self, metadata: ResultMetadata) -> list[LoggedRecord]:
        """Return all records of a measure from complete evaluations, without stale ones, oldest first."""
        entries = [entry for entry in self.log().entries if entry.is_complete and entry.record.metadata == metadata]
        return [entry for entry in entries if not self._is_stale(metadata, entry.record.source)]

    def check(self) -> list[Fault]:
        """Read config, status and results, and return ``faults``."""
        _ = self.config, self.status, self.measures
        return self.faults

    def _read(self, file: RunFile) -> dict[str, Any] | None:
        content = file.read(self._directory)
        if isinstance(content, Fault):
            self.faults.append(content)
            return None
        return content


def distinct_configs(runs: Iterable[Run]) -> list[Mapping[str, Any]]:
    """Return the configs of runs that differ in more than their seed, in order of first appearance, and no empty ones.

    Equal configs may be in it more than once.
    """
    configs = {id(run.config_template): run.config for run in runs}
    return [config for config in configs.values() if config]


def config_fields(runs: Iterable[Run]) -> list[str]:
    """Return the names of all config fields that any run has, in order of first appearance."""
    layouts = dict.fromkeys(map(tuple, distinct_configs(runs)))  # few: one per config class
    return list(dict.fromkeys(name for layout in layouts for name in layout))
