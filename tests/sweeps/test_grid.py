"""The configs of a sweep: all combinations, checked before anything is written."""

import itertools

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists, sampled_from

from core.config.errors import ConfigError
from core.config.load import Layer
from core.sweeps.grid import build_configs, expand, file_axes, parse_axis


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("seed=3", ("seed", ["3"])),
        ("seed=0..4", ("seed", ["0", "1", "2", "3", "4"])),
        ("seed=0..1,7", ("seed", ["0", "1", "7"])),
        ("learning_rate=1e-4,3e-4", ("learning_rate", ["1e-4", "3e-4"])),
        ("learning-rate=1e-4", ("learning_rate", ["1e-4"])),
        ("--seed=2", ("seed", ["2"])),
        ("hidden_layer_sizes=256,256;512", ("hidden_layer_sizes", ["256,256", "512"])),
    ],
)
def test_values_are_lists_and_ranges(text: str, parsed: tuple[str, list[str]]) -> None:
    assert parse_axis(text) == parsed


def test_each_config_gets_what_suits_its_data_set() -> None:
    layers = [Layer("line", {"model": "unet"}, is_text=True)]
    digits, mnist = build_configs(layers, {"dataset": ["digits", "mnist5k"]})
    assert (digits.lr_schedule, mnist.lr_schedule) == ("constant", "cosine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", r"got 'seed'; accepted: FIELD=VALUES"),
        ("=3", r"got '=3'; accepted: FIELD=VALUES"),
        ("seed=", r"seed: got '', which holds an empty value"),
        ("seed=1,,2", r"seed: got '1,,2', which holds an empty value"),
        ("seed=4..0", r"seed: got the range 4\.\.0, which is empty"),
        ("seed=0..1000000", r"seed: .* holds more than 10,000 values"),
    ],
)
def test_values_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_axis(text)


@given(dictionaries(sampled_from("abc"), lists(integers(), min_size=1, max_size=4, unique=True), max_size=3))
def test_the_combinations_are_the_product_of_the_values(axes: dict[str, list[int]]) -> None:
    expected = list(itertools.product(*axes.values()))
    assert [tuple(combination.values()) for combination in expand(axes)] == expected


def test_too_many_combinations_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"1,000,000 configs; accepted: at most 10,000"):
        expand({"a": range(1000), "b": range(1000)})


def test_each_config_has_the_shared_fields_and_its_own_values() -> None:
    shared = Layer("command line", {"model": "mlp", "n_epochs": "2"}, is_text=True)
    configs = build_configs([shared], {"learning_rate": ["1e-4", "1e-3"], "seed": ["0", "1"]})
    assert [(config.learning_rate, config.seed) for config in configs] == [(1e-4, 0), (1e-4, 1), (1e-3, 0), (1e-3, 1)]
    assert {(config.model, config.n_epochs) for config in configs} == {("mlp", 2)}


def test_the_model_may_be_swept_over_and_brings_its_own_config_class() -> None:
    configs = build_configs([], {"model": ["mlp", "unet"]})
    assert [type(config).__name__ for config in configs] == ["MLPConfig", "UNetConfig"]


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        build_configs([], {"model": ["mlp"], "seed": ["0", "x"], "learning_rat": ["1"]})
    assert len(refused.value.faults) == 2
    assert "unknown key 'learning_rat'. Did you mean 'learning_rate'?" in str(refused.value)
    assert "--seed: got 'x'" in str(refused.value)


def test_an_unknown_model_or_data_set_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'unett'. Did you mean 'unet'\?"):
        build_configs([], {"model": ["unett"]})
    with pytest.raises(ConfigError, match=r"unknown data set 'digit'. Did you mean 'digits'\?"):
        build_configs([], {"dataset": ["digit"]})
    with pytest.raises(ConfigError, match=r"data set 'folder': data_dir is not given"):
        build_configs([], {"dataset": ["folder"]})


def test_a_field_given_twice_is_refused() -> None:
    shared = Layer("command line", {"seed": "1"}, is_text=True)
    with pytest.raises(ConfigError, match="seed: given both as an option and as values"):
        build_configs([shared], {"seed": ["0", "1"]})


def test_the_same_config_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="combinations 0 and 1 of the sweep give the same config"):
        build_configs([], {"learning_rate": ["1e-3", "0.001"]})


def test_a_file_gives_lists_or_text() -> None:
    axes = file_axes({"seed": "0..2", "learning_rate": [1e-4, 1e-3], "hidden_layer_sizes": [[8], [8, 8]]}, "s.toml")
    assert axes == {"seed": ["0", "1", "2"], "learning_rate": [1e-4, 1e-3], "hidden_layer_sizes": [[8], [8, 8]]}
    configs = build_configs([], {"hidden_layer_sizes": axes["hidden_layer_sizes"]})
    assert [config.hidden_layer_sizes for config in configs] == [(8,), (8, 8)]


@pytest.mark.parametrize("table", [{"seed": 3}, {"seed": []}, {"seed": {}}])
def test_a_file_entry_of_another_kind_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"s\.toml: sweep: seed: got .*; accepted: a list of values"):
        file_axes(table, "s.toml")
