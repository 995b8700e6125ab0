"""Defaults that a data set or a family suggests: when they hold, and what overrides them."""

from collections.abc import Mapping
from typing import Any

import pytest

from core import plugins
from core.config.load import Layer, build_config
from core.diffusion.suggestions import SUGGESTIONS, Suggestion, suggestions_for, with_suggested

MNIST = {"dataset": "mnist5k", "model": "unet"}


@pytest.mark.parametrize("suggestion", SUGGESTIONS, ids=lambda one: one.name)
def test_every_suggestion_is_accepted_by_its_models_config_and_changes_it(suggestion: Suggestion) -> None:
    cls = plugins.config_class(suggestion.runs.get("model", "mlp"))
    asked_for = Layer("file", suggestion.runs)
    config, plain = build_config(cls, *with_suggested([asked_for])), build_config(cls, asked_for)
    assert all(getattr(config, name) == value for name, value in suggestion.fields.items())
    assert all(getattr(plain, name) != value for name, value in suggestion.fields.items())


@pytest.mark.parametrize("is_text", [True, False])
def test_what_the_user_gives_wins(is_text: bool) -> None:
    given: Mapping[str, Any] = {**MNIST, "n_epochs": "7" if is_text else 7}
    layers = with_suggested([Layer("file", {}), Layer("line", given, is_text=is_text)])
    assert "n_epochs" not in layers[0].values
    config = build_config(plugins.config_class("unet"), *layers)
    assert config.n_epochs == 7
    assert config.lr_schedule == "cosine"


@pytest.mark.parametrize(
    "asked_for", [{}, {"dataset": "mnist5k"}, {"model": "unet"}, {"dataset": ["mnist5k"], "model": "unet"}]
)
def test_other_data_sets_and_models_keep_the_defaults(asked_for: Mapping[str, Any]) -> None:
    layers = [Layer("file", asked_for), Layer("line", {}, is_text=True)]
    assert with_suggested(layers) == layers


def test_the_config_of_an_earlier_run_keeps_the_defaults_of_fields_that_it_lacks() -> None:
    layers = [Layer("config.json", MNIST, is_complete=True), Layer("line", {"seed": "1"}, is_text=True)]
    assert with_suggested(layers) == layers


def test_a_suggestion_says_what_it_set_and_for_which_runs() -> None:
    assert str(Suggestion("mnist5k", {}, {"n_epochs": 60, "channels": 24})) == (
        "Set for mnist5k, unless you give them: n_epochs=60, channels=24"
    )


def test_data_set_and_family_suggest_side_by_side() -> None:
    layers = [Layer("line", {**MNIST, "family": "meanflow", "logit_mean": "0", "n_epochs": "7"}, is_text=True)]
    assert [str(one) for one in suggestions_for(layers)] == [
        "Set for mnist5k, unless you give them: patch_size=2, batch_size=32, learning_rate=0.002, lr_schedule=cosine",
        "Set for family meanflow, unless you give them: sampler=meanflow, n_steps=1",
    ]
    config = build_config(plugins.config_class("unet"), *with_suggested(layers))
    assert (config.sampler, config.logit_mean, config.batch_size, config.n_epochs) == ("meanflow", 0.0, 32, 7)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("meanflow", 1, -0.4)),
        ({"n_steps": "4"}, ("meanflow", 4, -0.4)),
        ({"sampler": "meanflow"}, ("meanflow", 1, -0.4)),
        ({"sampler": "heun"}, ("heun", 18, -0.4)),
        ({"sampler": "euler", "schedule": "edm"}, ("euler", 18, -0.4)),
        ({"t_distribution": "uniform"}, ("meanflow", 1, 0.0)),
    ],
)
def test_one_step_is_suggested_for_the_sampler_meanflow_alone(given: Mapping[str, str], expected: Any) -> None:
    layers = [Layer("line", {"family": "meanflow", **given}, is_text=True)]
    config = build_config(plugins.config_class("mlp"), *with_suggested(layers))
    assert (config.sampler, config.n_steps, config.logit_mean) == expected


def test_nothing_is_said_where_all_fields_are_given() -> None:
    given = {"family": "meanflow", "sampler": "meanflow", "n_steps": 2, "logit_mean": 0.0}
    assert suggestions_for([Layer("file", given)]) == ()
