"""Plugins: found without being imported; a broken one costs nothing but its own line."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core import plugins, registry
from core.commands.eval import evaluate
from core.commands.plugins import plugins as plugin_command
from core.commands.train import train
from core.config import ConfigError, ModelConfig
from core.runs.directory import run_ids
from core.runs.status import run_status
from core.utils.signals import RunInterrupted
from core.utils.utils import save_config_to_json

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs a distribution (metadata and one module) on sys.path."""

    def make(distribution: str, entry_points: str, source: str = "") -> Path:
        info = tmp_path / f"{distribution.replace('-', '_')}-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        (tmp_path / f"{distribution.replace('-', '_')}_module.py").write_text(source)
        plugins.registered.cache_clear()
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    yield make
    plugins.registered.cache_clear()
    for path in tmp_path.glob("*_module.py"):
        sys.modules.pop(path.stem, None)


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    import os

    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    return subprocess.run(
        [sys.executable, "-m", "core", *arguments], capture_output=True, text=True, check=False, env=environment
    )


def test_what_ships_in_the_box_is_registered_through_the_same_entry_points() -> None:
    assert {"identity", "mlp"} <= set(plugins.in_the_box(plugins.MODELS))
    assert "digits" in plugins.in_the_box(plugins.DATASETS)
    assert {"denoising", "sampling"} <= set(plugins.in_the_box(plugins.EVALUATORS))
    assert {"train", "eval", "plugins", "runs"} <= set(plugins.in_the_box(plugins.COMMANDS))


def test_names_are_listed_without_importing_anything(install: Install) -> None:
    install("bad-one", "[pyml.models]\nexploding = bad_one_module:Model\n", "raise RuntimeError('boom')")
    assert "exploding" in plugins.names(plugins.MODELS)
    assert "bad_one_module" not in sys.modules


def test_an_unknown_name_is_answered_with_the_nearest_valid_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'identify'\. Did you mean 'identity'\? Known: .*mlp"):
        plugins.find(plugins.MODELS, "identify")


def test_a_plugin_that_raises_on_import_names_its_distribution_and_the_reason(install: Install) -> None:
    install("bad-one", "[pyml.models]\nexploding = bad_one_module:Model\n", "raise RuntimeError('boom')")
    with pytest.raises(plugins.PluginError, match=r"model 'exploding' of bad-one 2.0 .*RuntimeError: boom"):
        plugins.load(plugins.MODELS, "exploding")


def test_a_plugin_that_exits_on_import_is_a_broken_plugin(install: Install) -> None:
    install("bad-one", "[pyml.models]\nleaving = bad_one_module:Model\n", "raise SystemExit('goodbye')")
    with pytest.raises(plugins.PluginError, match=r"bad-one 2.0 .*SystemExit: goodbye"):
        plugins.load(plugins.MODELS, "leaving")


def test_a_plugin_that_needs_torch_is_not_broken_where_torch_is_not_installed(
    install: Install, monkeypatch: pytest.MonkeyPatch, run_command: Callable[..., Any]
) -> None:
    install("deep-one", "[pyml.models]\ndeep = deep_one_module:Model\n", "import torch")
    monkeypatch.setitem(sys.modules, "torch", None)  # its import raises what that of a missing package raises
    ended = run_command(plugin_command, "--check")
    assert "deep-one 2.0             not installed: it needs PyTorch (" in ended.out
    assert "BROKEN" not in ended.out
    assert ended.code == 0
    with pytest.raises(
        plugins.PluginError, match=r"model 'deep' of deep-one 2.0: it needs PyTorch .*pip install torch"
    ):
        plugins.load(plugins.MODELS, "deep")


def test_a_signal_during_an_import_is_no_broken_plugin(install: Install) -> None:
    source = "from core.utils.signals import RunInterrupted\nraise RunInterrupted('interrupted by SIGTERM', 143)"
    install("slow-one", "[pyml.models]\nslow = slow_one_module:Model\n", source)
    with pytest.raises(RunInterrupted, match="SIGTERM"):
        plugins.load(plugins.MODELS, "slow")


def test_a_module_without_the_promised_name_is_a_broken_plugin(install: Install) -> None:
    install("bad-one", "[pyml.models]\nhollow = bad_one_module:Model\n")
    with pytest.raises(plugins.PluginError, match=r"bad-one 2.0 .*AttributeError"):
        plugins.load(plugins.MODELS, "hollow")


def test_two_plugins_of_one_name_are_an_error_only_when_the_name_is_asked_for(install: Install) -> None:
    for distribution in ("first-one", "second-one"):
        module = f"{distribution.replace('-', '_')}_module"
        install(distribution, f"[pyml.models]\ntwin = {module}:Model\n", "Model = 1")
    assert plugins.names(plugins.MODELS).count("twin") == 1
    with pytest.raises(plugins.PluginError, match=r"'twin' is registered by first-one 2.0 and second-one 2.0"):
        plugins.find(plugins.MODELS, "twin")
    assert plugins.find(plugins.MODELS, "identity").distribution == "pyml-core"


def test_a_models_own_config_class_serves_it(install: Install) -> None:
    install(
        "good-one",
        "[pyml.models]\nmine = good_one_module:Model\n[pyml.configs]\nmine = good_one_module:Mine\n",
        "from attrs import frozen\nfrom core.config import ModelConfig, option\nfrom core.config import rules\n"
        "@frozen(kw_only=True)\nclass Mine(ModelConfig):\n"
        "    depth: int = option(3, rule=rules.integer(1), help='Number of blocks.')\n",
    )
    cls = plugins.config_class("mine")
    assert cls(model="mine", depth=4).depth == 4  # type: ignore[call-arg]
    promoted = plugins.with_own_fields(ModelConfig(model="mine", seed=9))
    assert isinstance(promoted, cls)
    assert promoted.seed == 9
    assert plugins.config_class("identity") is ModelConfig


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Mine = 3", "odd_one_module:Mine is 3; accepted: a subclass of ModelConfig"),
        ("class Mine: pass", "accepted: a subclass of ModelConfig"),
        (
            "from core.config import ModelConfig\nclass Mine(ModelConfig):\n    depth: int = 3\n",
            "its fields depth are not attrs fields; decorate the class",
        ),
        (
            "from attrs import frozen\nfrom core.config import ModelConfig, option, rules\n"
            "@frozen(kw_only=True)\nclass Mine(ModelConfig):\n"
            "    device: str = option('x', rule=rules.text(), help='A clash.')\n",
            "device: the command line has an option of this name. Rename",
        ),
    ],
)
def test_a_config_class_that_cannot_serve_is_refused(install: Install, source: str, message: str) -> None:
    install("odd-one", "[pyml.models]\nodd = odd_one_module:Model\n[pyml.configs]\nodd = odd_one_module:Mine\n", source)
    with pytest.raises(plugins.PluginError, match=message):
        plugins.config_class("odd")


def test_a_broken_plugin_costs_one_line_of_the_list_and_nothing_else(install: Install) -> None:
    path = install(
        "bad-one",
        "[pyml.models]\nexploding = bad_one_module:Model\n[pyml.commands]\nburning = bad_one_module:command\n",
        "raise RuntimeError('boom')",
    )
    done = run("plugins", path=path)
    assert done.returncode == 0, done.stderr
    broken = [line for line in done.stdout.splitlines() if "BROKEN" in line]
    assert [line.split()[:3] for line in broken] == [["exploding", "bad-one", "2.0"], ["burning", "bad-one", "2.0"]]
    assert all("RuntimeError: boom" in line for line in broken)
    assert "identity" in done.stdout
    helped = run("--help", path=path)
    assert helped.returncode == 0
    assert "burning" in helped.stdout
    assert "[bad-one]" in helped.stdout
    used = run("burning", path=path)
    assert used.returncode == 1
    assert "command 'burning' of bad-one 2.0 cannot be imported" in used.stderr
    assert "Traceback" not in used.stderr
    assert "Traceback" in run("--debug", "burning", path=path).stderr


@pytest.mark.parametrize(
    ("group", "source", "message"),
    [
        ("datasets", "thing = 'a path'", r"data set 'odd' of odd-one 2.0: .* is 'a path'; accepted: a callable"),
        ("configs", "class thing: pass", r"config 'odd' of odd-one 2.0: .*accepted: a subclass of ModelConfig"),
        (
            "features",
            "thing = 3",
            r"feature space 'odd' of odd-one 2.0: .* is 3; accepted: a callable \(config, device\)",
        ),
        ("commands", "thing = lambda: None", r"command 'odd' of odd-one 2.0: .*accepted: a click command"),
        ("models", "thing = 3", r"model 'odd' of odd-one 2.0: .* is 3; accepted: a subclass of torch.nn.Module"),
        ("models", "class thing: pass", r"is <class '.*thing'>; accepted: a subclass of torch.nn.Module, made with"),
        (
            "models",
            "from torch import nn\nclass thing(nn.Module):\n    def __init__(self): ...",
            r"model 'odd' of odd-one 2.0: .*thing'>, which takes \(\); accepted: .*, made with \(config\)",
        ),
        (
            "evaluators",
            "class thing: pass",
            r"evaluator 'odd' of odd-one 2.0: .*accepted: a class with the method eval",
        ),
        ("evaluators", "class thing: evaluate = 3", r"thing'>; accepted: a class with the method evaluate\(\)"),
        (
            "evaluators",
            "class thing:\n    def evaluate(self): ...",
            r"which takes \(\); accepted: a class with the method evaluate\(\), made with \(config, run_path\)",
        ),
        (
            "evaluators",
            "import abc\nclass thing(abc.ABC):\n    def __init__(self, config, run_path): ...\n"
            "    @abc.abstractmethod\n    def evaluate(self): ...",
            r"thing'>, which does not define evaluate; accepted: a class with the method evaluate\(\)",
        ),
        (
            "datasets",
            "def thing(split): ...",
            r"data set 'odd' of odd-one 2.0: .*which takes \(split\); accepted: a callable \(config, split\)",
        ),
        (
            "trackers",
            "class thing:\n    def __init__(self, url): ...\n    start = curve = result = finish = print",
            r"which takes \(url\); accepted: a class with the methods start, curve, result, finish, made without",
        ),
        ("features", "thing = object", r"takes .*; accepted: a callable \(config, device\)"),
    ],
)
def test_a_plugin_of_the_wrong_kind_is_named_with_its_distribution(
    install: Install, group: str, source: str, message: str
) -> None:
    install("odd-one", f"[pyml.{group}]\nodd = odd_one_module:thing\n", source)
    with pytest.raises(plugins.PluginError, match=message):
        plugins.load(f"pyml.{group}", "odd")


def test_the_full_check_finds_every_kind_of_broken_plugin_and_exits_with_1(
    install: Install, run_command: Callable[..., Any]
) -> None:
    source = (
        "text, command = 'a path', lambda: None\nclass NoConfig: pass\nclass Model: pass\n"
        "class Raising:\n    def __init__(self, config, run_path): ...\n    def evaluate(self): ...\n"
        "    @classmethod\n    def supports(cls, config): raise KeyError('n')\n"
    )
    kinds = {
        "datasets": "text",
        "commands": "command",
        "models": "Model",
        "configs": "NoConfig",
        "evaluators": "Raising",
        "trackers": "Model",
    }
    points = "".join(f"[pyml.{group}]\nodd = odd_one_module:{name}\n" for group, name in kinds.items())
    install("odd-one", points, source)
    code, out, err = run_command(plugin_command, "--check")
    broken = [line for line in out.splitlines() if "BROKEN" in line]
    assert len(broken) == len(kinds)
    assert any("supports() raised KeyError: 'n'" in line for line in broken)
    assert (code, err) == (1, "6 broken\n")


def test_the_check_makes_each_tracker_and_a_missing_extra_is_not_broken(
    install: Install, run_command: Callable[..., Any]
) -> None:
    methods = "".join(f"    def {name}(self, *given, **named): ...\n" for name in registry.TRACKER_METHODS)
    source = (
        f"class Broken:\n    def __init__(self): raise OSError('no server')\n{methods}"
        f"class Lacking:\n    def __init__(self): import no_such_package\n{methods}"
    )
    points = "[pyml.trackers]\nbroken = odd_one_module:Broken\nlacking = odd_one_module:Lacking\n"
    install("odd-one", points, source)
    code, out, err = run_command(plugin_command, "--check")
    lines = {line.split()[0]: " ".join(line.split()[3:]) for line in out.splitlines() if "odd-one" in line}
    assert lines == {
        "broken": "BROKEN: its constructor raised OSError: no server",
        "lacking": "not installed: No module named 'no_such_package'",
    }
    assert (code, err) == (1, "1 broken\n")


def test_the_check_of_a_sound_installation_exits_with_0(run_command: Callable[..., Any]) -> None:
    ended = run_command(plugin_command, "--check")
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("content", [b"[pyml.models]\nno value\n", b"\xff\xfe"])
def test_a_malformed_entry_points_file_costs_a_line_and_nothing_else(
    install: Install, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = install("torn-one", "")
    (path / "torn_one-2.0.dist-info" / "entry_points.txt").write_bytes(content)
    helped = run("--help", path=path)
    assert helped.returncode == 0
    assert "compare" in helped.stdout
    assert [line for line in helped.stderr.splitlines() if "torn-one" in line] == helped.stderr.splitlines()
    assert len(helped.stderr.splitlines()) == 1
    if content == b"\xff\xfe":  # importing torch, which has entry points of its own, would fail, too
        checked = run("plugins", "--check", path=path)
        broken = [line.split()[0] for line in checked.stdout.splitlines() if "BROKEN" in line]
        assert broken == ["tensorboard"]  # the package of that name reads all entry points by itself
        assert checked.stderr.splitlines()[:1] == helped.stderr.splitlines()
    plugins.registered.cache_clear()
    registry._warn_once.cache_clear()
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.warns(UserWarning, match=r"torn-one 2.0: its entry_points.txt cannot be read \(.*plugins are missing"):
        assert "identity" in plugins.names(plugins.MODELS)


@pytest.mark.parametrize("metadata", [b"Metadata-Version: 2.1\nName: b\xe9\nVersion: 1\n", b"", None])
@pytest.mark.parametrize("points", [b"[pyml.models]\nodd = odd:x\n", b"[pyml.models]\nno value\n"])
def test_a_package_with_damaged_metadata_and_entry_points_hides_no_other(
    install: Install, metadata: bytes | None, points: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = install("odd", "") / "odd-2.0.dist-info"
    (info / "entry_points.txt").write_bytes(points)
    (info / "METADATA").unlink()
    if metadata is not None:
        (info / "METADATA").write_bytes(metadata)
    registry._warn_once.cache_clear()
    monkeypatch.setattr(os, "environ", dict(os.environ))
    if b"no value" in points:
        with pytest.warns(UserWarning, match=r"odd-2\.0\.dist-info: its entry_points.txt cannot be read"):
            assert "identity" in plugins.names(plugins.MODELS)
    else:
        assert {"identity", "odd"} <= set(plugins.names(plugins.MODELS))
        with pytest.raises(plugins.PluginError, match=r"model 'odd' of odd-2\.0\.dist-info unknown cannot be imported"):
            plugins.load(plugins.MODELS, "odd")


def test_an_error_raised_in_a_plugin_gets_a_note_that_names_its_distribution(install: Install) -> None:
    install("odd-one", "[pyml.datasets]\nodd = odd_one_module:data\n", "def data(config, split): ...")
    with pytest.raises(KeyError, match="n") as raised, plugins.named_in_errors(plugins.DATASETS, "odd"):
        raise KeyError("n")
    assert raised.value.__notes__ == ["raised in data set 'odd' of odd-one 2.0"]
    with pytest.raises(KeyError, match="n") as ours, plugins.named_in_errors(plugins.DATASETS, "digits"):
        raise KeyError("n")
    assert not hasattr(ours.value, "__notes__")


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_run_whose_plugin_is_not_installed_names_the_distribution(
    tmp_path: Path, kind: str, run_command: Callable[..., Any]
) -> None:
    served = {"name": "gone", "distribution": "gone-one", "version": "3.1"}
    path = save_config_to_json(ModelConfig(**{kind: "gone"}), tmp_path, {kind: served})
    name = "data set" if kind == "dataset" else kind
    message = rf"{name} 'gone' is not installed; this run used it from gone-one 3.1. Try: pip install gone-one==3.1"
    with pytest.raises(ConfigError, match=re.escape(str(path)) + ": " + message):
        plugins.saved_config(tmp_path)
    ended = run_command(train, "--resume", tmp_path)
    assert ended.code == 2
    assert ended.err.startswith(f"Error: {path}: {name} 'gone' is not installed; this run used it from gone-one 3.1.")


def test_a_plugin_that_raises_after_importing_torch_is_found_by_the_full_check(
    install: Install, run_command: Callable[..., Any]
) -> None:
    source = "import torch\nraise RuntimeError('boom')"
    path = install("late-one", "[pyml.models]\nlate = late_one_module:Model\n", source)
    assert "BROKEN" not in run("plugins", path=path).stdout
    assert "BROKEN: RuntimeError: boom" in run_command(plugin_command, "--check").out


def test_the_command_line_has_no_option_that_a_config_class_may_take() -> None:
    own = {parameter.name for parameter in train.params} - {"config_file"}
    assert own | {"config"} <= registry.RESERVED


ODD = """
import torch
from core.config import ModelConfig
from core.diffusion.model import Denoiser
class Plain: ...
class Raising(torch.nn.Module):
    def __init__(self, config): raise KeyError("depth")
class NoNetwork(Denoiser):
    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(1, 1)
class Failing(Denoiser):
    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(1, 1)
    def network(self, scaled, c_noise, labels): raise KeyError("width")
class Evaluator:
    def __init__(self, config, run_path): raise KeyError("level")
    def evaluate(self): ...
class Late(Evaluator):
    def __init__(self, config, run_path): ...
    def evaluate(self): raise KeyError("later")
def raising(config, device): raise KeyError("space")
"""
ODD_POINTS = """
[pyml.models]
plain = odd_one_module:Plain
raising = odd_one_module:Raising
no_network = odd_one_module:NoNetwork
failing = odd_one_module:Failing
[pyml.evaluators]
raising = odd_one_module:Evaluator
late = odd_one_module:Late
[pyml.features]
raising = odd_one_module:raising
"""


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("plain", "model 'plain' of odd-one 2.0: odd_one_module:Plain is "),
        ("raising", "KeyError: 'depth' (raised in model 'raising' of odd-one 2.0)"),
        (
            "no_network",
            "NoNetwork must define network(scaled, c_noise, labels) (raised in model 'no_network' of odd-one",
        ),
    ],
)
def test_a_model_that_cannot_be_made_is_named_and_leaves_no_run(
    install: Install, experiments: Path, run_command: Callable[..., Any], model: str, reason: str
) -> None:
    install("odd-one", ODD_POINTS, ODD)
    ended = run_command(train, "--model", model)
    assert ended.code == 1
    assert reason in ended.err
    assert run_ids(experiments) == []


def test_a_model_that_fails_while_it_is_trained_is_named(
    install: Install, experiments: Path, run_command: Callable[..., Any]
) -> None:
    install("odd-one", ODD_POINTS, ODD)
    ended = run_command(train, "--model", "failing", "--n-epochs", 1)
    assert ended.code == 1
    assert "KeyError: 'width' (raised in model 'failing' of odd-one 2.0)" in ended.err
    (run_id,) = run_ids(experiments)
    assert run_status(experiments / run_id).state == "failed"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--evaluator", "raising"], "KeyError: 'level' (raised in evaluator 'raising' of odd-one 2.0)"),
        (["--evaluator", "late"], "KeyError: 'later' (raised in evaluator 'late' of odd-one 2.0)"),
    ],
)
def test_an_evaluator_that_fails_is_named_with_its_distribution(
    install: Install, experiments: Path, run_command: Callable[..., Any], options: list[str], reason: str
) -> None:
    install("odd-one", ODD_POINTS, ODD)
    assert run_command(train, "--quiet").code == 0
    ended = run_command(evaluate, "latest", *options)
    assert ended.code == 1
    assert reason in ended.err


def test_a_feature_space_that_fails_is_named_with_its_distribution(install: Install) -> None:
    install("odd-one", ODD_POINTS, ODD)
    import torch

    from core.diffusion.evaluators.features import FeatureSpace

    with pytest.raises(KeyError, match="space") as raised:
        FeatureSpace("raising", ModelConfig(), torch.device("cpu"))
    assert raised.value.__notes__ == ["raised in feature space 'raising' of odd-one 2.0"]
