"""The tracker ``tensorboard``: a run's curve and results as TensorBoard event files, while it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.runs.evaluations import TRAINING
from core.runs.files import make_directory
from core.runs.metrics import last_step
from core.utils.metadata import ResultMetadata
from core.utils.records import ResultRecord

DIRECTORY = "tensorboard"
VERSION = "brain.Event:2"  # readers discard what a restarted run writes again only in files of this version


class TensorBoardTracker:
    """Writes ``tensorboard/train`` and ``tensorboard/eval`` of the run directory; read them with TensorBoard.

    A measure's mean is the scalar of its name; a result is ``results/NAME``, and its standard error, where it is
    known, ``results/NAME/error``. Values are float32, as in all event files.

    Raises:
        ModuleNotFoundError: The package tensorboard is not installed.
    """

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"it needs the package tensorboard ({error}). Try: pip install 'pyml-core[tensorboard]'"
            ) from error
        self._events, self._summaries, self._record_writer = event_pb2, summary_pb2, RecordWriter
        self._writer: Any = None

    def start(self, run_path: Path, _config: Mapping[str, Any], *, evaluation: str) -> None:
        """Begin a new event file: readers expect that a file is complete when another one follows it."""
        self._last_step = last_step(run_path)
        self._tags: dict[str, ResultMetadata] = {}
        directory = run_path / DIRECTORY / ("train" if evaluation == TRAINING else "eval")
        make_directory(directory)
        n_files = sum(1 for _ in directory.iterdir())
        path = directory / f"events.out.tfevents.{time.time():010.0f}.{n_files + 1:06d}.{evaluation}"
        self._writer = self._record_writer(path.open("xb"))
        self._write(file_version=VERSION)

    def curve(self, step: int, means: Mapping[str, float]) -> None:
        """Write a point. If the run has come back to an earlier step, tell readers to discard what follows it."""
        if self._last_step is not None and step <= self._last_step:
            log = self._events.SessionLog(status=self._events.SessionLog.START)
            self._write(step=step, session_log=log)
        self._last_step = step
        values = [self._summaries.Summary.Value(tag=name, simple_value=mean) for name, mean in means.items()]
        self._write(step=step, summary=self._summaries.Summary(value=values))

    def result(self, record: ResultRecord) -> None:
        """Write a result at the training step of what was measured, else at the last step of the curve."""
        known = self._last_step if record.source is None or record.source.step is None else record.source.step
        tag, plugin = self._tag(record.metadata), self._summaries.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = self._summaries.SummaryMetadata(plugin_data=plugin, summary_description=str(record))
        values = [self._summaries.Summary.Value(tag=tag, simple_value=record.result.mean, metadata=metadata)]
        if not math.isnan(error := record.result.shown_error()):
            values.append(self._summaries.Summary.Value(tag=f"{tag}/error", simple_value=error))
        self._write(step=known or 0, summary=self._summaries.Summary(value=values))

    def finish(self, _status: str) -> None:
        """Close the file."""
        self._writer.close()

    def _tag(self, metadata: ResultMetadata) -> str:
        """Return a result's tag: its name, with what tells it from another result of that name in this session."""
        sampling = ", ".join(f"{name}={value}" for name, value in metadata.sampling())
        tag = f"results/{metadata.name}{f' ({sampling})' if sampling else ''}"
        if self._tags.setdefault(tag, metadata) != metadata:
            tag = f"results/{metadata}"
        return tag

    def _write(self, **content: Any) -> None:
        """Write an event so that a reader sees it at once."""
        event = self._events.Event(wall_time=time.time(), **content)
        self._writer.write(event.SerializeToString())
        self._writer.flush()
