"""Runs of one group that ran on different commits, versions or devices: named, refused or separated, as asked."""

import csv
import json
from pathlib import Path

import pytest
from made_runs import Invoke
from written_runs import record, write_run

from core.config import ConfigError
from results.database import ResultsDatabase

CPU = {"git_commit": "a" * 40, "git_dirty": False, "torch": "2.6.0", "device": "cpu", "host": "node1"}
H100 = {**CPU, "device": "NVIDIA H100", "host": "node2"}
WORDS = ("compare", "model=mlp", "model=unet")


@pytest.fixture
def mixed(experiments: Path) -> None:
    """Three seeds of each model; the last seed of mlp and all of unet ran on another device."""
    losses = {"mlp": (0.30, 0.32, 0.37), "unet": (0.20, 0.23, 0.25)}
    for i, (model, values) in enumerate(losses.items()):
        for seed, loss in enumerate(values):
            environment = CPU if (model, seed) in {("mlp", 0), ("mlp", 1)} else H100
            write_run(experiments, 10 * i + seed, [record(loss)], environment=environment, model=model, seed=seed)


@pytest.mark.usefixtures("mixed")
def test_one_line_names_what_is_mixed_and_the_ways_out(invoke: Invoke) -> None:
    code, out, _ = invoke(*WORDS)
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("Mixed: ")]
    assert line == (
        "Mixed: device cpu (2 runs), NVIDIA H100 (4 runs). Separate them with --split-by FIELD; "
        "refuse them with --strict."
    )
    _, out, _ = invoke(*WORDS, "--format", "json")
    assert json.loads(out)["mixed"] == {"device": {"cpu": 2, "NVIDIA H100": 4}}


@pytest.mark.usefixtures("mixed")
def test_strict_refuses_mixed_runs(invoke: Invoke) -> None:
    code, out, err = invoke(*WORDS, "--strict")
    assert (code, out) == (2, "")
    assert "--strict: the runs differ: device cpu (2 runs), NVIDIA H100 (4 runs)." in err


@pytest.mark.parametrize(
    ("field", "other"), [("git_commit", "b" * 40), ("git_dirty", True), ("torch", "2.7.0"), ("device", None)]
)
def test_each_field_that_numbers_depend_on_is_watched(
    experiments: Path, invoke: Invoke, field: str, other: object
) -> None:
    for number, model in enumerate(("mlp", "mlp", "unet", "unet")):
        environment = {**CPU, field: other} if number == 3 else CPU
        environment = {name: value for name, value in environment.items() if value is not None}
        write_run(
            experiments, number, [record(0.3 + 0.01 * number**2)], environment=environment, model=model, seed=number
        )
    code, out, _ = invoke(*WORDS)
    assert code == 0
    assert f"Mixed: {field} " in out
    assert invoke(*WORDS, "--strict")[0] == 2


def test_equal_environments_are_not_mixed_and_another_host_is_no_matter(experiments: Path, invoke: Invoke) -> None:
    for number, model in enumerate(("mlp", "mlp", "unet", "unet")):
        environment = {**CPU, "host": f"node{number}"}
        write_run(
            experiments, number, [record(0.3 + 0.01 * number**2)], environment=environment, model=model, seed=number
        )
    code, out, _ = invoke(*WORDS, "--strict")
    assert code == 0
    assert "Mixed" not in out


@pytest.mark.usefixtures("mixed")
def test_split_by_makes_groups_that_a_condition_can_name(invoke: Invoke) -> None:
    code, out, err = invoke(*WORDS, "--split-by", "device")
    assert (code, out) == (2, "")
    assert (
        "'model=mlp' matches 2 groups, whose runs are not replicates of each other: they differ in device (cpu or"
        in err
    )
    assert "Add a condition, such as 'model=mlp, device=cpu'." in err
    code, out, _ = invoke("compare", "model=mlp, device=cpu", "model=unet", "--split-by", "device", "--format", "json")
    assert code == 0
    (one,) = json.loads(out)["comparisons"]
    assert one["a"]["seeds"] == [0, 1]
    assert one["a"]["mean"] == pytest.approx((0.30 + 0.32) / 2)


@pytest.mark.usefixtures("mixed")
def test_split_by_another_name_is_refused_with_the_nearest(invoke: Invoke) -> None:
    code, _, err = invoke(*WORDS, "--split-by", "devise")
    assert code == 2
    assert "unknown field of the environment 'devise'. Did you mean 'device'?" in err


@pytest.mark.usefixtures("mixed")
def test_conditions_on_the_environment(experiments: Path) -> None:
    write_run(experiments, 30, [record(0.9)], model="mlp", seed=9)  # without environment.json
    database = ResultsDatabase(experiments)
    chosen = {
        text: len(database.where(text)) for text in ("device=cpu", "host=node2", "git_dirty=false", "torch=unknown")
    }
    assert chosen == {"device=cpu": 2, "host=node2": 4, "git_dirty=false": 6, "torch=unknown": 1}
    with pytest.raises(ConfigError, match=r"unknown field or measure 'devce'. Did you mean 'device'\?"):
        database.where("devce=cpu")


def test_a_field_of_the_config_comes_before_the_environments(experiments: Path) -> None:
    for number, device in enumerate(("cuda", "cpu")):
        write_run(experiments, number, [record(0.3)], environment=CPU, device=device)
    assert len(ResultsDatabase(experiments).where("device=cpu")) == 1


@pytest.mark.usefixtures("mixed")
def test_a_table_names_refuses_or_separates_what_is_mixed(invoke: Invoke) -> None:
    code, out, err = invoke("table", "--format", "csv")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "Mixed: device cpu (2 runs), NVIDIA H100 (4 runs). Separate them with --split-by FIELD" in err
    code, out, err = invoke("table", "--strict")
    assert (code, out) == (2, "")
    assert "--strict: the runs differ: device cpu (2 runs), NVIDIA H100 (4 runs)." in err
    code, out, err = invoke("table", "--split-by", "device", "--strict", "--format", "csv")
    assert (code, err) == (0, "")
    rows = [(row["model"], row["device"], row["n_runs"]) for row in csv.DictReader(out.splitlines())]
    assert rows == [("mlp", "cpu", "2"), ("mlp", "NVIDIA H100", "1"), ("unet", "NVIDIA H100", "3")]
