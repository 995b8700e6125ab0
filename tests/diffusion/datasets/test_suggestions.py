"""Defaults that a data set suggests: when they hold, and what overrides them."""

from collections.abc import Mapping
from typing import Any

import pytest

from core import plugins
from core.config.load import Layer, build_config
from core.diffusion.datasets.suggestions import SUGGESTED, suggestion_text, with_suggested

MNIST = {"dataset": "mnist5k", "model": "unet"}


@pytest.mark.parametrize(("dataset", "model"), SUGGESTED)
def test_every_suggestion_is_accepted_by_its_models_config_and_changes_it(dataset: str, model: str) -> None:
    cls = plugins.config_class(model)
    asked_for = Layer("file", {"dataset": dataset, "model": model})
    config = build_config(cls, *with_suggested([asked_for]))
    plain = build_config(cls, asked_for)
    assert all(getattr(config, name) == value for name, value in SUGGESTED[dataset, model].items())
    assert all(getattr(plain, name) != value for name, value in SUGGESTED[dataset, model].items())


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


def test_the_line_about_suggestions_names_data_set_and_fields() -> None:
    text = suggestion_text("mnist5k", {"n_epochs": 60, "channels": 24})
    assert text == "Set for mnist5k, unless you give them: n_epochs=60, channels=24"
