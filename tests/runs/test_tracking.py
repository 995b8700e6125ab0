"""Trackers get what a run writes, after it is on disk; whatever they do, the run goes on."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core import registry
from core.config import ConfigError
from core.registry import PluginError
from core.runs import Run
from core.runs.files import read_json_lines
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log
from core.runs.status import run_status
from core.runs.tracking import Tracker, guarded
from core.utils.records import ResultRecord

Install = Callable[[str], None]
CONFIG = {"model": "resnet", "seed": 0}
CLASS = """
class Mine:
    def __init__(self): {init}
    def start(self, run_path, config, *, evaluation): {start}
    def curve(self, step, means): {curve}
    def result(self, record): {result}
    def finish(self, status): {finish}
"""
QUIET = dict.fromkeys(("init", "start", "curve", "result", "finish"), "pass")


class Recording:
    """Keeps its calls, each with the number of lines that the run's files held at that moment."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.n_lines: list[tuple[int, int]] = []

    def start(self, run_path: Path, config: Mapping[str, Any], *, evaluation: str) -> None:
        self.path = run_path
        self.note("start", config, evaluation)

    def curve(self, step: int, means: Mapping[str, float]) -> None:
        self.note("curve", step, means)

    def result(self, record: ResultRecord) -> None:
        self.note("result", record)

    def finish(self, status: str) -> None:
        self.note("finish", status, run_status(self.path).state)

    def note(self, *call: Any) -> None:
        self.calls.append(call)
        files = (self.path / name for name in ("metrics.jsonl", "results.jsonl"))
        first, second = (len(read_json_lines(file)[0]) for file in files)
        self.n_lines.append((first, second))


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYML_EXPERIMENTS_DIR", str(tmp_path / "experiments"))
    return tmp_path / "experiments"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs the distribution track-one, whose tracker is called mine."""

    def make(source: str) -> None:
        info = tmp_path / "site" / "track_one-2.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: track-one\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text("[pyml.trackers]\nmine = track_one_module:Mine\n")
        (info.parent / "track_one_module.py").write_text(source)
        registry.registered.cache_clear()

    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield make
    registry.registered.cache_clear()
    sys.modules.pop("track_one_module", None)


def train(*trackers: Tracker | str) -> Run:
    with Run(CONFIG, trackers=trackers) as run:
        for step in (1, 2):
            run.meter.update(loss=[step, step + 1.0])
            run.log_curve(step, wall_time_s=float(step))
        run.log_result("accuracy", [True, False])
    return run


def test_a_tracker_gets_the_curve_and_the_results_after_they_are_on_disk(experiments: Path) -> None:
    tracker = Recording()
    run = train(tracker)
    record = next(iter(read_result_log(run.path).newest()))
    assert tracker.path == run.path
    assert tracker.calls == [
        ("start", CONFIG, "train"),
        ("curve", 1, {"loss": 1.5, "wall_time_s": 1.0}),
        ("curve", 2, {"loss": 2.5, "wall_time_s": 2.0}),
        ("result", record),
        ("finish", "finished", "finished"),
    ]
    assert tracker.n_lines == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 1)]


def test_an_evaluation_starts_the_tracker_with_its_id_and_no_curve(experiments: Path) -> None:
    tracker, run = Recording(), train()
    with Run.open(run.path, trackers=[tracker]) as evaluation:
        evaluation.log_result("accuracy", 0.5)
    assert [call[0] for call in tracker.calls] == ["start", "result", "finish"]
    assert tracker.calls[0] == ("start", CONFIG, "eval-0001")


def test_a_tracker_hears_how_the_run_failed(experiments: Path) -> None:
    tracker = Recording()
    with pytest.raises(ZeroDivisionError, match="by zero"), Run(CONFIG, trackers=[tracker]):
        print(1 // 0)
    assert tracker.calls[-1] == ("finish", "failed", "failed")


@pytest.mark.parametrize("broken", ["start", "curve", "result", "finish"])
def test_a_tracker_that_fails_warns_once_and_the_run_is_complete(
    broken: str, experiments: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(CLASS.format(**{**QUIET, broken: "raise OSError('server is gone')"}))
    tracker = Recording()
    run = train("mine", tracker)
    assert capsys.readouterr().err == (
        f"Warning: tracker 'mine' of track-one 2.0: {broken}() raised OSError: server is gone. The run continues.\n"
    )
    assert run_status(run.path).state == "finished"
    assert [point.step for point in read_curve(run.path)[0]] == [1, 2]
    assert len(read_result_log(run.path).newest()) == 1
    assert len(tracker.calls) == 5  # the others are not affected


def test_a_tracker_whose_constructor_fails_is_left_out_with_a_warning(
    experiments: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(CLASS.format(**{**QUIET, "init": "raise SystemExit('no account')"}))
    assert run_status(train("mine").path).state == "finished"
    err = capsys.readouterr().err
    assert err.startswith("Warning: tracker 'mine' of track-one 2.0: its constructor raised SystemExit: no account.")
    assert len(err.splitlines()) == 1


def test_a_tracker_that_failed_once_goes_on_being_called(experiments: Path, install: Install) -> None:
    install(CLASS.format(**{**QUIET, "init": "self.steps = []", "curve": "self.steps.append(step); 1 / (step - 1)"}))
    (tracker,) = guarded(["mine"])
    train(tracker)
    assert tracker._tracker.steps == [1, 2]


def test_the_signal_that_stops_a_run_is_no_failure_of_the_tracker_in_which_it_arrives(experiments: Path) -> None:
    class Signalled(Recording):
        def curve(self, step: int, means: Mapping[str, float]) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    tracker = Signalled()
    with pytest.raises(SystemExit, match="SIGTERM"):
        train(tracker)
    assert tracker.calls[-1] == ("finish", "interrupted", "interrupted")


def test_a_tracker_that_is_not_installed_is_an_error_before_the_directory_is_made(
    experiments: Path, install: Install
) -> None:
    with pytest.raises(ConfigError, match=r"unknown tracker 'tensorbord'. Did you mean 'tensorboard'"):
        Run(CONFIG, trackers=["tensorbord"]).start()
    install(CLASS.format(**{**QUIET, "init": "import no_such_package"}))
    with pytest.raises(ConfigError, match=r"'mine' of track-one 2.0 cannot be used: No module named 'no_such_package'"):
        Run(CONFIG, trackers=["mine"]).start()
    assert not experiments.exists()


def test_a_tracker_that_cannot_be_imported_is_an_error_before_the_directory_is_made(
    experiments: Path, install: Install
) -> None:
    install("raise RuntimeError('boom')")
    with pytest.raises(PluginError, match=r"tracker 'mine' of track-one 2.0 cannot be imported.*boom"):
        Run(CONFIG, trackers=["mine"]).start()
    assert not experiments.exists()


@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        ("tensorboard", r"got the text 'tensorboard'; accepted: a list. Try: trackers=\['tensorboard'\]"),
        ([object()], r"which has no start\(\); accepted: the name of a plugin, or an object with the methods start"),
        ([Recording], r"Recording'>, a class; accepted"),
    ],
)
def test_what_is_no_tracker_is_refused(experiments: Path, trackers: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Run(CONFIG, trackers=trackers)


def test_the_environment_names_trackers_unless_the_run_does(
    experiments: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(CLASS.format(**QUIET))
    monkeypatch.setenv("PYML_TRACKER", "mine,mine")
    assert len(guarded(None)) == 1
    assert guarded([]) == ()
    monkeypatch.setenv("PYML_TRACKER", "none")
    assert guarded(None) == ()
    monkeypatch.setenv("PYML_TRACKER", "mine,")
    with pytest.raises(ConfigError, match=r"tracker: got .*; accepted: names, separated by commas, or none"):
        guarded(None)
