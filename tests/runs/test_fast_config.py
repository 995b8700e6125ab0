"""The fast reader of config.json sees what ``CONFIG.read`` sees, whatever a file holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, dictionaries, floats, integers, lists, none, recursive, sampled_from, text

from core.runs.config_fields import dotted
from core.runs.config_file import CONFIG, save_config
from core.runs.fast_config import FastConfig, read_config
from core.runs.files import Fault

NAMES = sampled_from(["seed", "lr", "optimizer", "x", "ünïcödé", '\n    "seed": 3', "plugins", "config"])
VALUES = recursive(
    none()
    | booleans()
    | integers(-(10**17), 10**17)
    | floats(allow_nan=False, allow_infinity=False)
    | text(max_size=5),
    lambda inner: lists(inner, max_size=2) | dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
CONFIGS = dictionaries(NAMES, VALUES, max_size=4)
PLUGINS = {"model": {"name": "mlp", "version": "1"}}


def both(run_path: Path) -> tuple[object, object]:
    """What the fast reader and the plain one see: the fields with their types and order, or the fault."""
    fast, plain = read_config(run_path), CONFIG.read(run_path)
    if isinstance(plain, Fault):
        return fast, plain
    config, plugins = plain.get("config"), plain.get("plugins")
    assert isinstance(fast, FastConfig)
    expected = (dotted(config) if isinstance(config, dict) else {}, plugins)
    return repr((fast.config, fast.template.plugins)), repr(expected)


@settings(deadline=None)
@given(config=CONFIGS, seed=integers(-3, 10**20))
def test_both_readers_agree_on_every_config(tmp_path_factory: pytest.TempPathFactory, config: Any, seed: int) -> None:
    path = tmp_path_factory.getbasetemp()
    for fields in (config, {**config, "seed": seed}, {"seed": seed, **config}, {"a": config, "seed": seed}):
        save_config(path, fields, PLUGINS)
        fast, plain = both(path)
        assert fast == plain


def test_both_readers_agree_on_damaged_files(tmp_path: Path) -> None:
    save_config(tmp_path, {"lr": 0.1, "seed": 12, "n": [1, 2], "inner": {"seed": 3}}, PLUGINS)
    good = (tmp_path / CONFIG.name).read_bytes()
    damaged = [good[:n] for n in range(0, len(good), 7)]
    damaged += [good.replace(b"12", other) for other in (b"012", b"-1", b"1.0", b"1e3", b'"12"', b"9" * 50, b"null")]
    damaged += [good.replace(b'"lr"', b'"seed"'), good.replace(b"    ", b""), good.replace(b"pyml.config/1", b"other")]
    damaged += [good.replace(b"0.1", b"1e999"), good + b"{}", b"[" * 100_000, b"\xff", b"[]", b"{}"]
    damaged += [good.replace(b'    "lr": 0.1,', b'    "seed": 5,\n    "lr": 0.1,')]  # two seeds: JSON takes the last
    for content in damaged:
        (tmp_path / CONFIG.name).write_bytes(content)
        fast, plain = both(tmp_path)
        assert fast == plain, content
    (tmp_path / CONFIG.name).unlink()
    fast, plain = both(tmp_path)
    assert fast == plain


def test_runs_that_differ_only_in_seed_share_all_but_the_seed(tmp_path: Path) -> None:
    read = []
    for seed in (3, 0):
        save_config(tmp_path, {"lr": 0.25, "seed": seed, "inner": {"depth": 2}}, PLUGINS)
        read.append(read_config(tmp_path))
    one, other = read
    assert isinstance(one, FastConfig)
    assert isinstance(other, FastConfig)
    assert one.template is other.template
    assert (one.config["seed"], other.config["seed"]) == (3, 0)
    assert list(other.config) == ["lr", "seed", "inner.depth"]


def test_a_seed_inside_another_table_is_not_the_runs_seed(tmp_path: Path) -> None:
    content = {"schema": CONFIG.schema, "other": {"seed": 5}, "config": {"lr": 0.5}}
    (tmp_path / CONFIG.name).write_text(json.dumps(content, indent=2) + "\n")
    read = read_config(tmp_path)
    assert isinstance(read, FastConfig)
    assert read.config == {"lr": 0.5}
