"""Trackers: they get what a run writes, after it is on disk, and pass it on to other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from core import registry
from core.config.config import GlobalConfig
from core.config.errors import ConfigError
from core.utils.output import say
from core.utils.records import ResultRecord
from core.utils.signals import RunInterrupted


@runtime_checkable
class Tracker(Protocol):
    """What a tracker offers: a class registered under ``pyml.trackers`` is called without arguments to make one.

    All calls come from the process that writes the run directory, in the order start, curve and result, finish. An
    object may be started again after ``finish``. An exception becomes one warning; the run continues, and later calls
    are still made.
    """

    def start(self, run_path: Path, config: Mapping[str, Any], *, evaluation: str) -> None:
        """Begin: the run directory exists and holds config.json.

        Args:
            run_path: The run directory.
            config: The config's fields, as config.json holds them.
            evaluation: "train", or the id of an evaluation that is added to the run.
        """

    def curve(self, step: int, means: Mapping[str, float]) -> None:
        """Receive a point of the training curve: each measure's mean, and the line's other numbers by name.

        A run that was killed and resumed may repeat steps that it has written before; the later point counts.
        """

    def result(self, record: ResultRecord) -> None:
        """Receive a result."""

    def finish(self, status: str) -> None:
        """End: "finished", "failed" or "interrupted"."""


class GuardedTracker:
    """A tracker whose failures cost one warning on stderr and never stop a run.

    Args:
        label: How the warning names the tracker: its kind, name, distribution and version.
        tracker: The tracker.
    """

    def __init__(self, label: str, tracker: Tracker) -> None:
        self._label, self._tracker = label, tracker
        self._has_warned = self._has_started = False

    def start(self, run_path: Path, config: Mapping[str, Any], *, evaluation: str) -> None:
        """See ``Tracker``. If it fails, there are no other calls until the next start."""
        self._has_started = self._call("start", run_path, dict(config), evaluation=evaluation)

    def curve(self, step: int, means: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        if self._has_started:
            self._call("curve", step, dict(means))

    def result(self, record: ResultRecord) -> None:
        """See ``Tracker``."""
        if self._has_started:
            self._call("result", record)

    def finish(self, status: str) -> None:
        """See ``Tracker``."""
        if self._has_started:
            self._has_started = False
            self._call("finish", status)

    def _call(self, method: str, *arguments: Any, **named: Any) -> bool:
        try:
            getattr(self._tracker, method)(*arguments, **named)
        except RunInterrupted:  # the run is to stop, which is not the tracker's failure
            raise
        except (Exception, SystemExit) as error:
            if not self._has_warned:
                _warn(self._label, f"{method}()", error)
            self._has_warned = True
            return False
        return True


def guarded(trackers: Sequence[Tracker | str] | None) -> tuple[GuardedTracker, ...]:
    """Return trackers ready for use: the objects given, and those that are given by name.

    A tracker whose constructor fails is left out, with a warning.

    Args:
        trackers: Names of plugins, or objects with the methods of ``Tracker``. None: the names that the environment
            variable ``PYML_TRACKER`` gives.

    Raises:
        ConfigError: There is no tracker of a name, or a package that it needs is not installed.
        PluginError: A tracker cannot be imported.
        TypeError: An object lacks a method of ``Tracker``.
    """
    if isinstance(trackers, str):
        raise TypeError(f"trackers: got the text {trackers!r}; accepted: a list. Try: trackers=[{trackers!r}]")
    chosen = GlobalConfig().tracker if trackers is None else trackers
    made = [_named(each) if isinstance(each, str) else _given(each) for each in _distinct(chosen)]
    return tuple(tracker for tracker in made if tracker is not None)


def _distinct(trackers: Sequence[Tracker | str]) -> list[Tracker | str]:
    """Return the trackers without names that came before."""
    seen: set[str] = set()
    chosen: list[Tracker | str] = []
    for each in trackers:
        if not (isinstance(each, str) and each in seen):
            chosen.append(each)
        if isinstance(each, str):
            seen.add(each)
    return chosen


def _given(tracker: Any) -> GuardedTracker:
    if isinstance(tracker, GuardedTracker):
        return tracker
    missing = [name for name in registry.TRACKER_METHODS if not callable(getattr(tracker, name, None))]
    if missing or isinstance(tracker, type):
        why = f"which has no {missing[0]}()" if missing else "a class"
        raise TypeError(
            f"trackers: got {tracker!r}, {why}; accepted: the name of a plugin, or an object with the methods "
            f"{', '.join(registry.TRACKER_METHODS)}, see core.runs.tracking.Tracker."
        )
    return GuardedTracker(f"tracker {type(tracker).__name__} of {type(tracker).__module__}", tracker)


def _named(name: str) -> GuardedTracker | None:
    plugin = registry.find(registry.TRACKERS, name)
    cls = plugin.load()
    try:
        return GuardedTracker(plugin.label(), cls())
    except ModuleNotFoundError as error:
        raise ConfigError(f"{plugin.label()} cannot be used: {error}") from error
    except RunInterrupted:
        raise
    except (Exception, SystemExit) as error:
        _warn(plugin.label(), "its constructor", error)
        return None


def _warn(label: str, what: str, error: BaseException) -> None:
    """Print a warning. It is not one of Python's: where warnings are errors, it would stop the run."""
    say(f"Warning: {label}: {what} raised {type(error).__name__}: {error}. The run continues.", err=True)
