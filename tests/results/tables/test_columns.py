"""Which columns a table has, their order and names, and that many fields become short labels."""

import csv
import io
from pathlib import Path

import pytest
from made_runs import Invoke
from written_runs import measure, record, write_run

MANY = {f"option_{i}": f"value-{i}" for i in range(6)}


@pytest.fixture
def two_models(experiments: Path) -> Path:
    """mlp and unet, which differ in six more fields; sigma_data was measured on the data."""
    for i, model in enumerate(("mlp", "unet")):
        for seed in range(2):
            lines = [
                record(0.3 + 0.1 * i + 0.01 * seed),
                record(0.9 - 0.01 * seed, measure("accuracy", higher_is_better=True)),
                record(1.0 + 0.1 * seed, measure("norm", higher_is_better=None)),
            ]
            more = MANY if i else {}
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed, lr=0.1, sigma_data=0.5 + i, **more)
    return experiments


def header(out: str) -> list[str]:
    return [name for name in out.splitlines()[0].split("  ") if name.strip()]


@pytest.mark.usefixtures("two_models")
def test_many_fields_become_one_column_and_a_note(invoke: Invoke) -> None:
    code, out, _ = invoke("table", "--no-within")
    assert code == 0
    assert [name.strip() for name in header(out)] == ["group", "runs", "loss ↓", "accuracy ↑", "norm"]
    assert max(map(len, out.splitlines()[:4])) < 80
    assert "The groups also differ in option_0, option_1, option_2, option_3, option_4, option_5." in out
    assert "sigma_data" not in out


@pytest.mark.usefixtures("two_models")
def test_csv_keeps_every_field_that_differs(invoke: Invoke) -> None:
    rows = list(csv.DictReader(io.StringIO(invoke("table", "--format", "csv")[1])))
    assert {row["model"] for row in rows} == {"mlp", "unet"}
    assert {row["option_3"] for row in rows} == {"-", "value-3"} or {row["option_3"] for row in rows} == {
        "'-",
        "value-3",
    }
    assert "sigma_data" not in rows[0]


@pytest.mark.usefixtures("two_models")
def test_columns_are_chosen_ordered_and_renamed(invoke: Invoke) -> None:
    code, out, _ = invoke("table", "--columns", "loss,option_1,runs,model", "--rename", "loss=Held-out loss")
    assert code == 0
    lines = out.splitlines()
    assert [name.strip() for name in header(out)] == ["Held-out loss ↓", "option_1", "runs", "model"]
    assert lines[2].split("  ")[-1].strip() == "mlp"
    assert "Within run" not in out


@pytest.mark.usefixtures("two_models")
def test_columns_take_patterns_of_measures_and_labels_of_groups(invoke: Invoke) -> None:
    out = invoke("table", "--columns", "group,*o*", "--format", "markdown")[1]
    assert out.splitlines()[0] == "| group | loss ↓ | norm |" or out.splitlines()[0] == "| group | norm | loss ↓ |"
    assert out.splitlines()[2].startswith("| mlp |")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--columns", "modl"), "unknown column 'modl'. Did you mean 'model'?"),
        (("--columns", "model,los"), "unknown column 'los'. Did you mean 'loss'?"),
        (("--columns", "model,,loss"), "--columns: got 'model,,loss'; accepted: names with commas"),
        (("--rename", "losss=x"), "unknown column to rename 'losss'. Did you mean 'loss'?"),
        (("--rename", "loss"), "--rename: got 'loss'; accepted: OLD=NEW"),
        (("--rename", "loss="), "--rename: got 'loss='; accepted: OLD=NEW"),
    ],
)
@pytest.mark.usefixtures("two_models")
def test_a_column_that_does_not_exist_is_refused(invoke: Invoke, options: tuple[str, ...], message: str) -> None:
    code, out, err = invoke("table", *options)
    assert (code, out) == (2, "")
    assert message in err


def test_a_name_with_a_comma_in_brackets_is_one_name(experiments: Path, invoke: Invoke) -> None:
    for split in ("a", "b"):
        write_run(
            experiments,
            ord(split),
            [record(0.3, measure(protocol={"split": split, "k": ord(split)}))],
            model="mlp",
            seed=0,
        )
    code, out, _ = invoke("table", "--columns", "model,loss (k=97, split=a)")
    assert code == 0, out
    assert [name.strip() for name in header(out)] == ["model", "loss (k=97, split=a) ↓"]


@pytest.mark.usefixtures("two_models")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "csv", "--rename", "loss=L"), "--rename: csv keeps the names of fields and measures"),
        (("--format", "json", "--rename", "loss=L"), "--rename: json keeps the names of fields and measures"),
        (("--format", "csv", "--columns", "model,runs"), "--columns: csv has one line per group and measure"),
    ],
)
def test_csv_and_json_refuse_what_they_cannot_show(invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = invoke("table", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_mark_among_several_measures_says_that_each_is_tested_by_itself(experiments: Path, invoke: Invoke) -> None:
    for i, model in enumerate(("mlp", "unet")):
        for seed in range(3):
            lines = [
                record(0.3 + 0.5 * i + 0.01 * seed**2 * (1 + i)),
                record(0.9 - 0.01 * seed, measure("accuracy", higher_is_better=True)),
            ]
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed)
    assert "Each measure is tested by itself" in invoke("table")[1]
    one = invoke("table", "--metric", "loss")[1]
    assert "*: the best" in one
    assert "tested by itself" not in one
