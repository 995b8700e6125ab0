"""The training curve as a CSV file that grows while the run trains."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.utils.results import ResultRecord


class CsvTracker:
    """Writes ``curve.csv`` in the run directory: a line per measure and point of the curve.

    A tracker to a server would send the same calls there. If one of the methods raises, the user gets one warning, and
    the run goes on.
    """

    def start(self, run_path: Path, config: Mapping[str, Any], *, evaluation: str) -> None:
        """Begin: ``evaluation`` is "train", or the id of an evaluation, which has no curve."""
        self.path = run_path / "curve.csv"

    def curve(self, step: int, means: Mapping[str, float]) -> None:
        """Add a point of the curve; it is in metrics.jsonl already."""
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerows([step, name, mean] for name, mean in means.items())

    def result(self, record: ResultRecord) -> None:
        """Take a result; this tracker does not need it."""

    def finish(self, status: str) -> None:
        """Say how the run ended: "finished", "failed" or "interrupted"."""
        if self.path.exists():
            with self.path.open("a", newline="") as file:
                csv.writer(file).writerow(["", "status", status])
