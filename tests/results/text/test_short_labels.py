"""Short labels: unique, never too long, and no longer than telling the groups apart takes."""

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, dictionaries, integers, lists, permutations, sampled_from, text
from made_runs import LOSS, MakeRun

from core.config import ModelConfig
from core.plugins import with_own_fields
from results.database import ResultsDatabase
from results.groups import group_runs, name_groups
from results.text.short_labels import WIDTH, distinguishing_fields, letter, short_labels

NAMES = sampled_from(["model", "dataset", "learning_rate", "n_epochs", "sigma_data"]) | text(max_size=12)
VALUES = integers(0, 3) | booleans() | text(max_size=50) | lists(integers(0, 2), max_size=3)
THINGS = lists(dictionaries(NAMES, VALUES, max_size=6), max_size=30)


@given(THINGS)
def test_labels_are_unique_printable_and_within_the_width(things: list[dict[str, object]]) -> None:
    found = short_labels(things)
    assert len(set(found.names)) == len(found.names) == len(things)
    assert all(name and name.isprintable() and len(name) <= WIDTH for name in found.names)
    assert all(line.isprintable() for line in found.legend)
    assert len(found.legend) in {0, len(things)}


SMALL = dictionaries(sampled_from(["model", "b", "c", "d", "e"]), integers(0, 2), min_size=5)


@given(lists(SMALL, min_size=2, max_size=8, unique_by=lambda thing: tuple(sorted(thing.items()))))
def test_a_label_shows_as_few_fields_as_possible(things: list[dict[str, int]]) -> None:
    fewest = next(
        size
        for size in range(1, 6)
        for chosen in combinations(["model", "b", "c", "d", "e"], size)
        if len({tuple(thing[name] for name in chosen) for thing in things}) == len(things)
    )
    assert len(short_labels(things).fields) == fewest


@given(permutations([{"model": m, "lr": r, "epochs": e} for m in ("mlp", "unet") for r, e in ((1, 5), (2, 5), (1, 9))]))
def test_labels_do_not_depend_on_the_order_of_the_groups(things: list[dict[str, object]]) -> None:
    names = short_labels(things).names
    assert set(names) == {f"{m}, epochs={e}, lr={r}" for m in ("mlp", "unet") for r, e in ((1, 5), (2, 5), (1, 9))}
    assert [name.split(",")[0] for name in names] == [thing["model"] for thing in things]


def test_mlp_and_unet_at_their_default_configs_are_called_mlp_and_unet(make_run: MakeRun, experiments: Path) -> None:
    for name in ("mlp", "unet"):
        config = with_own_fields(ModelConfig(model=name, dataset="digits"))
        for seed in range(2):
            make_run({LOSS: 0.5}, config=type(config)(model=name, seed=seed))
    groups = group_runs(ResultsDatabase(experiments))
    found = name_groups(groups)
    assert found.names == ("mlp", "unet")
    assert found.legend == ()
    assert "channels" in found.not_shown
    assert found.note().startswith("The groups also differ in embedding_size")


@pytest.mark.parametrize(
    ("things", "names"),
    [
        ([{"model": "mlp", "lr": 0.1}], ["mlp"]),
        ([{"lr": 0.1}], ["all runs"]),
        ([{"model": "mlp", "lr": 0.1}, {"model": "mlp", "lr": 0.2}], ["lr=0.1", "lr=0.2"]),
        ([{"model": "mlp", "lr": 0.1}, {"model": "unet", "lr": 0.2}], ["mlp", "unet"]),
        ([{"model": "m", "dropout": 0.5}, {"model": "m"}], ["dropout=0.5", "no dropout"]),
        ([{"dataset": ""}, {"dataset": "d"}], ["dataset=", "d"]),
        ([{"a": 1}, {"a": 1.0}, {"a": "1"}], ["A", "B", "C"]),  # they are spelled alike
        ([{"model": "x" * 40}, {"model": "mlp"}], ["A", "B"]),
        ([{"model": "a\x1b[2J"}, {"model": "a\x07[2J"}], ["A", "B"]),  # equal once they are printable
    ],
)
def test_labels_of_small_cases(things: list[dict[str, object]], names: list[str]) -> None:
    assert list(short_labels(things).names) == names


def test_letters_have_a_legend_that_says_what_they_stand_for() -> None:
    found = short_labels([{"model": "x" * 500}, {"model": "mlp"}])
    assert found.legend[1] == "B: mlp"
    assert found.legend[0] == f"A: {'x' * 199}…"


def test_letters_go_on_after_z_as_columns_of_a_spreadsheet_do() -> None:
    assert [letter(i) for i in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def test_what_was_found_in_the_data_is_no_difference() -> None:
    one = {"dataset": "digits", "data_shape": [1, 8, 8], "data_fingerprint": "a", "sigma_data": 0.5}
    other = {"dataset": "mnist5k", "data_shape": [1, 28, 28], "data_fingerprint": "b", "sigma_data": 0.6}
    assert distinguishing_fields([one, other]) == ["dataset"]


def test_data_that_changed_and_a_scale_set_by_hand_are_differences() -> None:
    one = {"dataset": "folder", "data_fingerprint": "a", "sigma_data": 0.5}
    assert distinguishing_fields([one, {**one, "data_fingerprint": "b"}]) == ["data_fingerprint"]
    assert short_labels([one, {**one, "sigma_data": 1}]).names == ("sigma_data=0.5", "sigma_data=1")


def test_with_very_many_fields_the_labels_are_still_unique() -> None:
    things = [{f"field_{j}": (i >> j) & 1 for j in range(20)} for i in range(30)]
    found = short_labels(things)
    assert len(set(found.names)) == 30
    assert set(found.fields) == {f"field_{j}" for j in range(5)}  # 30 needs five bits
