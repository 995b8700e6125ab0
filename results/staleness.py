"""Stale results: the run has a later (or better) checkpoint than they were measured on. They do not count."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.config.config import GlobalConfig
from core.utils.metadata import BEST, checkpoint_of
from core.utils.results import ResultMetadata
from results.run import Run
from results.text.labels import count, measure_labels, printable

MARK = "(stale)"
MOST_RUNS = 3


def stale_text(run: Run) -> str:
    """Return "Stale: loss was measured at step 90; the run is at step 1,200.", and the command; "" if none is."""
    if not run.stale:
        return ""
    labels = measure_labels(run.measures)
    by_step: dict[int, list[str]] = {}
    for metadata, source in run.stale.items():
        by_step.setdefault(source.step or 0, []).append(labels[metadata])
    parts = [
        f"{', '.join(names)} {'were' if len(names) > 1 else 'was'} measured at step {step:,}"
        for step, names in sorted(by_step.items())
    ]
    now = {checkpoint_of(metadata) for metadata in run.stale}
    parts += [f"the run is at step {run.last_step:,}"] if None in now else []
    parts += [f"the best checkpoint is of step {run.best_step:,}"] if BEST in now else []
    return printable(f"Stale: {'; '.join(parts)}.") + f" {evaluate_again([run])}"


def stale_note(runs: Sequence[Run]) -> str:
    """Return one line about runs with stale results, with the command that evaluates them again; "" for no runs."""
    if not runs:
        return ""
    have = "has" if len(runs) == 1 else "have"
    return f"{count(len(runs), 'run')} {have} stale results, which do not count. {evaluate_again(runs)}"


def stale_in_group(side: str, label: str, runs: Sequence[Run]) -> str:
    """Return a line that says which results of one side of a comparison are stale, with the command to evaluate again.

    Args:
        side: The label of the group.
        label: The label of the measure.
        runs: The runs whose results are stale.
    """
    return f"{label}: stale in {count(len(runs), 'run')} of {side}. {evaluate_again(runs)}"


def has_stale(run: Run, measures: Iterable[ResultMetadata]) -> bool:
    """Return whether any of these results of the run is stale."""
    return bool(run.stale) and any(metadata in run.stale for metadata in measures)


def evaluate_again(runs: Sequence[Run]) -> str:
    """Return the commands that evaluate the runs again, for at most ``MOST_RUNS`` runs.

    They name the experiments directory unless ``pyml-eval`` looks there by itself.
    """
    default = GlobalConfig().experiments_dir.resolve()
    commands = "; ".join(command for run in runs[:MOST_RUNS] for command in _commands(run, default))
    more = f"; and {len(runs) - MOST_RUNS:,} more" if len(runs) > MOST_RUNS else ""
    return f"Evaluate again: {commands}{more}"


def _commands(run: Run, default: Path) -> list[str]:
    """Return the commands that measure a run's stale results again: of its last checkpoint, its best one, or both."""
    directory = run.path.resolve().parent
    where = "" if directory == default else f" --experiments-dir {shlex.quote(str(run.path.parent))}"
    checkpoints = sorted({checkpoint_of(metadata) or "" for metadata in run.stale}) or [""]
    which = [f" --checkpoint {checkpoint}" if checkpoint else "" for checkpoint in checkpoints]
    return [printable(f"pyml-eval {run.id}{where}{chosen}") for chosen in which]
