"""``Run``: a training loop of one's own leaves a run directory that all readers and commands take."""

import argparse
import dataclasses
import enum
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from core.config import ConfigError, ModelConfig
from core.runs import Run
from core.runs.config_fields import config_fields
from core.runs.files import read_json_lines
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log
from core.runs.sample_values import read_values
from core.runs.status import run_status
from core.utils.meters import Meter
from core.utils.results import ResultMetadata, ResultRecord, ResultSource, ScalarResult

CONFIG = {"model": "resnet", "lr": 3e-4, "seed": 0}
CORRECT = [True, True, False, True]


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYML_EXPERIMENTS_DIR", str(tmp_path / "experiments"))
    return tmp_path / "experiments"


def content(run_path: Path, name: str) -> dict[str, Any]:
    found = json.loads((run_path / name).read_text())
    assert isinstance(found, dict)
    return found


def test_a_loop_of_ones_own_leaves_what_the_run_directory_promises(experiments: Path) -> None:
    with Run(CONFIG) as run:
        assert run_status(run.path).state == "running"
        for step, losses in enumerate([[1.0, 2.0], [0.5, 0.25]], start=1):
            run.meter.update(loss=losses)
            means = run.log_curve(step)
        run.log_result("accuracy", CORRECT, unit="image", protocol={"split": "test"}, higher_is_better=True)
        run.save_values("accuracy", [5, 6, 7, 8], CORRECT)
    assert run.path.parent == experiments
    assert content(run.path, "config.json")["config"] == CONFIG
    assert content(run.path, "environment.json")["packages"]["attrs"]
    assert run_status(run.path).state == "finished"
    assert run_status(run.path).step == 2
    points, faults = read_curve(run.path)
    assert not faults
    assert [point.means for point in points] == [{"loss": 1.5}, {"loss": 0.375}]
    assert means == {"loss": 0.375}
    (record,) = read_result_log(run.path).newest()
    assert record.metadata == ResultMetadata(
        "accuracy", unit="image", protocol={"split": "test"}, higher_is_better=True
    )
    assert record.metadata.kind == "proportion"
    assert record.result == ScalarResult(0.75, 0.25, 4)
    assert read_values(run.path, "train", record.metadata) == ({5: 1.0, 6: 1.0, 7: 0.0, 8: 1.0}, [])


@dataclasses.dataclass
class Inner:
    lr: float = 3e-4


@dataclasses.dataclass
class AsDataclass:
    model: str = "resnet"
    optimizer: Inner = dataclasses.field(default_factory=Inner)
    seed: int = 0


@attrs.define
class AsAttrs:
    model: str = "resnet"
    optimizer: dict[str, float] = attrs.Factory(lambda: {"lr": 3e-4})
    seed: int = 0


class Pydantic:
    """Stands in for a pydantic model, of which ``model_dump`` is all that is used."""

    def model_dump(self) -> dict[str, Any]:
        return {"model": "resnet", "optimizer": {"lr": 3e-4}, "seed": 0}


@pytest.mark.parametrize(
    "config",
    [
        {"model": "resnet", "optimizer": {"lr": 3e-4}, "seed": 0},
        AsDataclass(),
        AsAttrs(),
        argparse.Namespace(model="resnet", optimizer=argparse.Namespace(lr=3e-4), seed=0),
        Pydantic(),
    ],
)
def test_a_config_may_be_of_any_common_kind(config: object) -> None:
    assert config_fields(config) == {"model": "resnet", "optimizer": {"lr": 3e-4}, "seed": 0}


def test_a_real_pydantic_model_is_a_config() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Settings", lr=(float, 3e-4), seed=(int, 0))
    assert config_fields(model()) == {"lr": 3e-4, "seed": 0}


class Color(enum.Enum):
    RED = "red"


def test_values_of_a_config_become_plain_json() -> None:
    given = {
        "path": Path("a/b"),
        "sizes": (1, 2),
        "names": {"b", "a"},
        "color": Color.RED,
        "rate": np.float32(0.5),
        "n": np.int64(3),
        "flag": np.bool_(True),
        "betas": np.array([0.5, 0.25]),
        "none": None,
    }
    assert config_fields(given) == {
        "path": "a/b",
        "sizes": [1, 2],
        "names": ["a", "b"],
        "color": "red",
        "rate": 0.5,
        "n": 3,
        "flag": True,
        "betas": [0.5, 0.25],
        "none": None,
    }
    assert next(iter(config_fields(ModelConfig()))) == "model"


def test_every_field_that_cannot_be_saved_is_named_and_nothing_is_written(experiments: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.loss: got .*function.*JSON cannot hold") as caught:
        Run({"lr": 1, "loss": config_fields, "inner": {"z": [1j]}, 3: 4})
    assert len(caught.value.faults) == 3
    assert "config.inner.z[0]" in str(caught.value)
    with pytest.raises(TypeError, match=r"config: got 3 \(int\); accepted: a dict, dataclass"):
        Run(3)
    with pytest.raises(TypeError, match="accepted: a dict, dataclass"):
        Run(AsDataclass)
    assert not experiments.exists()


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (ValueError("bad batch"), "failed", "ValueError: bad batch"),
        (KeyboardInterrupt(), "interrupted", "Ctrl-C"),
        (SystemExit(0), "finished", None),
        (SystemExit(3), "failed", "SystemExit: 3"),
    ],
)
def test_a_run_says_how_it_ended(experiments: Path, error: BaseException, state: str, reason: str | None) -> None:
    runs = []

    def work() -> None:
        with Run(CONFIG) as run:
            runs.append(run)
            raise error

    with pytest.raises(type(error)):
        work()
    assert (run_status(runs[0].path).state, run_status(runs[0].path).reason) == (state, reason)


@pytest.mark.parametrize("code", [0, 1])
def test_ctrl_c_that_is_turned_into_an_exit_counts_as_an_interruption(experiments: Path, code: int) -> None:
    def work() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(code)  # as Lightning does

    with pytest.raises(SystemExit), Run(CONFIG) as run:
        work()
    assert (run_status(run.path).state, run_status(run.path).reason) == ("interrupted", "Ctrl-C")


LOOP = """
import sys, time
from core.runs import Run
with Run({"seed": 0}, path=sys.argv[1]) as run:
    print("begun", flush=True)
    while True:
        time.sleep(0.01)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_signals_interrupt_a_loop_of_ones_own(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert run_status(tmp_path / "run").state == "interrupted"
    assert ("Traceback" in err) == (number == signal.SIGINT)  # as Python shows a KeyboardInterrupt
    if number == signal.SIGTERM:
        assert run_status(tmp_path / "run").reason == "interrupted by SIGTERM"


def test_a_handler_of_ones_own_stays_and_ours_goes(experiments: Path) -> None:
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append(1))
    try:
        with Run(CONFIG):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [1]
    with Run(CONFIG):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform == "win32", reason="has no fork")
def test_a_forked_process_does_not_end_its_parents_run(experiments: Path) -> None:
    with Run(CONFIG) as run:
        child = os.fork()
        if child == 0:
            run.finish()
            os._exit(0)
        os.waitpid(child, 0)
        assert run_status(run.path).state == "running"


@pytest.mark.skipif(sys.platform == "win32", reason="has no fork")
def test_sigterm_ends_a_forked_process_as_usual(experiments: Path) -> None:
    with Run(CONFIG) as run:
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
        assert run_status(run.path).state == "running"


def test_an_evaluation_is_added_later_and_counts_when_complete(experiments: Path) -> None:
    with Run(CONFIG) as run:
        run.log_result("accuracy", [0, 1], unit="image")
    before = (run.path / "status.json").read_bytes()

    def evaluate(values: list[int], *, fails: bool = False) -> None:
        with Run.open(str(run.path), about={"split": "test"}) as later:
            assert later.config == CONFIG
            later.log_result("accuracy", values, unit="image")
            later.save_values("accuracy", range(len(values)), values)
            if fails:
                raise RuntimeError("out of memory")

    evaluate([1, 1, 1, 0])
    with pytest.raises(RuntimeError, match="out of memory"):
        evaluate([0, 0, 0], fails=True)
    (record,) = read_result_log(run.path).newest()
    assert record.result.mean == 0.75
    assert len(read_result_log(run.path).every()) == 3
    assert read_values(run.path, "eval-0001", record.metadata) == ({0: 1.0, 1: 1.0, 2: 1.0, 3: 0.0}, [])
    assert content(run.path, "evaluations/eval-0001.json")["split"] == "test"
    assert (run.path / "status.json").read_bytes() == before


def test_another_process_may_add_an_evaluation_while_the_run_trains(experiments: Path) -> None:
    code = (
        "import sys; from core.runs import Run\nwith Run.open(sys.argv[1]) as run: run.log_result('loss', [1.0, 3.0])"
    )
    with Run(CONFIG) as run:
        subprocess.run([sys.executable, "-c", code, str(run.path)], check=True, capture_output=True)
        run.log_result("accuracy", [0, 1])
    assert [record.metadata.name for record in read_result_log(run.path).newest()] == ["loss", "accuracy"]


def test_a_run_is_resumed_where_its_curve_ended(experiments: Path) -> None:
    with Run(CONFIG) as run:
        run.meter.update(loss=1.0)
        run.log_curve(10, wall_time_s=5.0)
    started_at = run_status(run.path).started_at
    with Run.resume(run.id) as again:
        assert (again.path, again.step, again.config) == (run.path, 10, CONFIG)
        assert run_status(run.path).state == "running"
        again.meter.update(loss=0.5)
        again.log_curve(20)
    rows, _ = read_json_lines(run.path / "metrics.jsonl")
    assert rows[1]["wall_time_s"] > 5.0
    assert run_status(run.path).state == "finished"
    assert run_status(run.path).started_at == started_at
    assert content(run.path, "environment-2.json")["schema"] == "pyml.environment/1"
    assert content(run.path, "config.json")["config"] == CONFIG


def test_a_resumed_run_may_have_a_changed_config(experiments: Path) -> None:
    with Run({**CONFIG, "n_epochs": 3}) as run:
        pass
    with Run.resume(run.path, {**CONFIG, "n_epochs": 5}) as again:
        assert again.config["n_epochs"] == 5
    assert content(run.path, "config.json")["config"]["n_epochs"] == 5


def test_one_process_at_a_time_trains_in_a_run(experiments: Path) -> None:
    with Run(CONFIG) as run, pytest.raises(ConfigError, match="another process is training in this run"):
        Run.resume(run.path).start()
    assert run_status(run.path).state == "finished"


def test_a_directory_that_holds_a_run_is_no_place_for_another(tmp_path: Path) -> None:
    with Run(CONFIG, path=tmp_path / "a" / "run") as run:
        assert run.id == "run"
    with pytest.raises(ConfigError, match=r"already holds a run \(status.json\).*Run.resume"):
        Run(CONFIG, path=str(run.path)).start()
    with pytest.raises(ConfigError, match="no run 'nothing'"):
        Run.open("nothing", experiments_dir=tmp_path)


@pytest.mark.parametrize("existing", [Run.open, Run.resume])
@pytest.mark.parametrize("path", [None, 7, Run({"seed": 0})])
def test_what_names_no_run_is_refused_with_what_to_write(existing: Any, path: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"run: got .*; accepted: the run's path as str or Path.* Try: run.path"):
        existing(path, experiments_dir=tmp_path)


@pytest.mark.parametrize(
    ("value", "result", "kind"),
    [
        ([1.0, 2.0, 4.5], ScalarResult(2.5, np.std([1, 2, 4.5], ddof=1) / np.sqrt(3), 3), "mean"),
        (np.array([0.0, 1.0, 1.0, 0.0]), ScalarResult(0.5, np.std([0, 1, 1, 0], ddof=1) / 2, 4), "proportion"),
        (np.array([0.0, 1.0, 0.5]), ScalarResult(0.5, 0.5 / np.sqrt(3), 3), "mean"),
        (np.array([[1, -1]]), ScalarResult(0.0, 1.0, 2), "mean"),
        (ScalarResult(0.5, 0.1, 7), ScalarResult(0.5, 0.1, 7), "mean"),
        (12.5, ScalarResult(12.5), "mean"),
        (np.float32(12.5), ScalarResult(12.5), "mean"),
        (np.array(12.5), ScalarResult(12.5), "mean"),
    ],
)
def test_a_result_comes_from_observations_a_result_or_a_number(
    experiments: Path, value: Any, result: ScalarResult, kind: str
) -> None:
    with Run(CONFIG) as run:
        record = run.log_result("x", value)
    assert record.metadata.kind == kind
    assert record.result.mean == pytest.approx(result.mean)
    assert record.result.error == pytest.approx(result.error, nan_ok=True)
    assert record.result.n == result.n


def test_a_result_comes_from_a_meters_measure(experiments: Path) -> None:
    meter = Meter()
    meter.update(accuracy=[0, 1, 1, 1], loss=[0.25, 1.0, 0.5, 0.0])
    source = ResultSource(step=3, weights="ema")
    with Run(CONFIG) as run:
        accuracy = run.log_result("accuracy", meter, source=source)
        loss = run.log_result("loss", meter, kind="proportion")
        with pytest.raises(
            ValueError, match=r"acc: the meter has no measure of this name. Its measures: 'accuracy', 'loss'"
        ):
            run.log_result("acc", meter)
    assert (accuracy.result.mean, accuracy.metadata.kind, accuracy.source) == (0.75, "proportion", source)
    assert (loss.result, loss.metadata.kind) == (meter.result("loss"), "proportion")
    assert list(read_result_log(run.path).newest()) == [accuracy, loss]


@pytest.mark.parametrize(
    ("value", "ids", "got"),
    [
        ([0.2, 1.4], None, "0.2 to 1.4"),
        ([97.5, 0.0], [1, 2], "0 to 97.5"),
        (ScalarResult(93.2, 0.1, 3), None, "93.2"),
        (93.2, None, "93.2"),
    ],
)
def test_a_proportion_of_values_beyond_0_to_1_is_refused(experiments: Path, value: Any, ids: Any, got: str) -> None:
    with Run(CONFIG) as run:
        with pytest.raises(ValueError, match=rf"acc: kind 'proportion' needs values from 0 to 1; got {got}\. Divide"):
            run.log_result("acc", value, kind="proportion", cluster_ids=ids)
        assert run.log_result("acc", 0.93, kind="proportion").metadata.kind == "proportion"
        assert run.log_result("nan", [math.nan], kind="proportion").metadata.kind == "proportion"
        assert run.log_result("share", ScalarResult(0.5), kind="proportion").metadata.kind == "proportion"


def test_cluster_ids_make_the_error_of_a_result_a_clustered_one(experiments: Path) -> None:
    with Run(CONFIG) as run:
        record = run.log_result("accuracy", [1.0, 1.0, 0.0, 0.0], unit="question", cluster_ids=["a", "a", "b", "c"])
    # deviations from 1/2 summed by cluster: 1, -1/2, -1/2; sqrt((1 + 1/4 + 1/4) * 3/2) / 4
    assert record.result.error == pytest.approx(1.5 / 4, rel=1e-12)
    assert (record.result.mean, record.result.n, record.metadata.kind) == (0.5, 3, "proportion")


@pytest.mark.parametrize(
    ("value", "ids", "error", "match"),
    [
        (0.5, [1], TypeError, "score: cluster_ids go with observations; got float"),
        (ScalarResult(0.5, 0.1, 3), [1, 2, 3], TypeError, "score: cluster_ids go with observations; got ScalarResult"),
        ([0.5, 1.0], [1], ValueError, "score: got 2 values and 1 ids"),
        ([0.5, 1.0], [1, 1.5], TypeError, "score: .*1.5"),
    ],
)
def test_cluster_ids_that_do_not_fit_are_refused(
    experiments: Path, value: Any, ids: Any, error: type[Exception], match: str
) -> None:
    with Run(CONFIG) as run, pytest.raises(error, match=match):
        run.log_result("score", value, cluster_ids=ids)
    assert not len(read_result_log(run.path).newest())


def test_torch_tensors_are_observations_and_values(experiments: Path) -> None:
    torch = pytest.importorskip("torch")
    correct = torch.tensor([True, False])
    with Run({"lr": torch.tensor(0.5)}) as run:
        record = run.log_result("accuracy", correct)
        run.save_values("accuracy", torch.arange(2), correct.to(torch.bfloat16))
    assert run.config == {"lr": 0.5}
    assert record.result.mean == 0.5
    assert read_values(run.path, "train", record.metadata) == ({0: 1.0, 1: 0.0}, [])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0.5", r"x: got '0.5' \(str\); accepted: an array"),
        (None, r"x: got None"),
        ([], "x: got no observations"),
        (True, r"x: got True \(bool\)"),
        ({"a": 1}, "x: got "),
    ],
)
def test_a_value_that_is_no_result_is_refused_and_nothing_saved(experiments: Path, value: Any, message: str) -> None:
    with Run(CONFIG) as run:
        with pytest.raises((TypeError, ValueError), match=message):
            run.log_result("x", value)
        with pytest.raises(ValueError, match="role: got 'y'"):
            run.log_result("x", [1.0], role="y")
    assert not (run.path / "results.jsonl").exists()


def test_values_need_the_result_whose_mean_they_are(experiments: Path) -> None:
    with Run(CONFIG) as run:
        with pytest.raises(ValueError, match="0 results have the name 'x': none has been logged"):
            run.save_values("x", [1], [0.5])
        run.log_result("x", [0.5], n_steps=5)
        ten = run.log_result("x", [0.5], n_steps=10)
        with pytest.raises(ValueError, match="2 results have the name 'x': give metadata"):
            run.save_values("x", [1], [0.5])
        run.save_values("x", [1], [0.5], metadata=ten.metadata)
        for ids, values, message in (
            ([1, 1], [0.5, 0.5], "a sample came twice"),
            ([1], [0.5, 0.5], r"sample_ids of shape \(1,\) and values of shape \(2,\)"),
            ([0.5], [0.5], "sample_ids: got an array of float64; accepted: integers"),
            ([1], ["a"], "values: got an array of .*; accepted: real numbers"),
        ):
            with pytest.raises((TypeError, ValueError), match=message):
                run.save_values("x", ids, values, metadata=ten.metadata)
        slash = run.log_result("a/b", [1.0])
        assert run.save_values("a/b", [1], [1.0]).name == "a%2Fb.npz"
    assert read_values(run.path, "train", ten.metadata) == ({1: 0.5}, [])
    assert read_values(run.path, "train", slash.metadata) == ({1: 1.0}, [])


def test_the_curve_takes_epochs_other_meters_and_more_numbers(experiments: Path) -> None:
    meter = Meter()
    meter.update(loss=[1.0, 3.0])
    with Run(CONFIG) as run:
        run.log_curve(5, epoch=1, meter=meter, images_per_s=2.5)
        assert meter.count("loss") == 2
        for call, message in (
            (lambda: run.log_curve(6), r"the meter has no measures to write. Call first: run.meter.update"),
            (lambda: run.log_curve(-1, meter=meter), r"got -1 \(int\); accepted: an integer from 0 up"),
            (lambda: run.log_curve(6, meter=meter, measures=1), "measures: each line of a curve has a field"),
            (lambda: run.log_curve(6, meter=meter, note="x"), r"got 'x' \(str\); accepted: a real number"),
        ):
            with pytest.raises((TypeError, ValueError), match=message):
                call()
    (row,), _ = read_json_lines(run.path / "metrics.jsonl")
    assert (row["epoch"], row["images_per_s"]) == (1, 2.5)
    assert row["measures"] == {"loss": {"mean": 2.0, "spread": np.std([1, 3], ddof=1), "n": 2}}


def test_a_run_is_used_between_its_start_and_its_end(experiments: Path) -> None:
    run = Run(CONFIG)
    with pytest.raises(RuntimeError, match="log_result: the run has not started"):
        run.log_result("x", [1.0])
    with pytest.raises(RuntimeError, match="has no directory before it starts"):
        _ = run.path
    assert run.start() is run
    with pytest.raises(RuntimeError, match="has already started"):
        run.start()
    run.progress(3, 10)
    run.finish()
    run.finish(ValueError("too late"))
    assert str(run_status(run.path)) == "finished"
    assert run_status(run.path).progress() == "3 of 10 steps (30%)"
    with pytest.raises(RuntimeError, match="save_values: the run has ended"):
        run.save_values("x", [1], [1.0])
    with Run.open(run.path) as later, pytest.raises(RuntimeError, match=r"opened to add an evaluation.*Run.resume"):
        later.log_curve(3)


def test_a_finished_record_can_be_logged(experiments: Path) -> None:
    record = ResultRecord(ResultMetadata("time/train", unit="run"), ScalarResult(3.0, n=1))
    with Run(CONFIG) as run:
        run.log_record(record)
        with pytest.raises(
            TypeError, match=r"record: got .*ScalarResult\); accepted: a ResultRecord. Try: ResultRecord"
        ):
            run.log_record(record.result)  # type: ignore[arg-type]
    assert list(read_result_log(run.path).newest()) == [record]


def test_run_imports_no_torch_and_the_room_imports_no_numpy() -> None:
    code = "import sys, core.runs; a = 'numpy' in sys.modules; core.runs.Run; print(a, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    with pytest.raises(AttributeError, match="has no attribute 'Rum'"):
        _ = __import__("core.runs").runs.Rum
