"""The example plugin, installed for real and used from the command line."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the example installed by pip, from a copy: building leaves files beside the source."""
    place = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(ROOT / "examples/plugin", place / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(place / "site"), str(source)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "site"


COMMANDS = """
import json, sys
from core.cli import group
for command in json.loads(sys.argv[1]):
    group.main(command, prog_name="core", standalone_mode=False)
    print("\\f", flush=True)
"""


def printed_by(site: Path, *commands: list[str], **variables: str) -> list[str]:
    """Run commands one after another in a process that finds the plugin; return what each one prints."""
    paths = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
    arguments = [sys.executable, "-c", COMMANDS, json.dumps(commands)]
    environment = {**os.environ, "PYTHONPATH": paths, **variables}
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("\f")[:-1]


def test_its_own_options_appear_in_the_help(site: Path) -> None:
    (text,) = printed_by(site, ["train", "--model", "convnet", "--help"])
    assert "--width" in text
    assert "Channels of the hidden layers." in text


def test_it_is_listed_trains_and_is_evaluated_by_its_own_and_by_the_box(site: Path, tmp_path: Path) -> None:
    where = ["--experiments-dir", str(tmp_path), "--device", "cpu"]
    sizes = ["--width", "16", "--n-epochs", "3", "--n-samples", "60", "--n-steps", "8"]
    train = ["train", "--model", "convnet", "--dataset", "shapes", "--tracker", "csv", *sizes, *where]
    evaluators = [part for name in ("label_agreement", "denoising", "sampling") for part in ("--evaluator", name)]
    evaluate = ["eval", "latest", *evaluators, "--features", "hidden_layer", *where]
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3))
    torch.save(network.state_dict(), weights := site / "weights.pt")
    listed, _, out = printed_by(site, ["plugins", "--check"], train, evaluate, PYML_SHAPES_WEIGHTS=str(weights))
    lines = [line.split() for line in listed.splitlines()]
    for name in ("convnet", "shapes", "label_agreement", "hidden_layer", "csv"):
        assert [name, "pyml-shapes", "1.0.0"] in lines
    assert "features=hidden_layer (pyml-shapes 1.0.0), features_fingerprint=" in out
    assert f"features_weights={hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}" in out
    for name in ("label_agreement", "denoising_loss", "frechet_distance"):
        assert name in out
    (run_path,) = tmp_path.iterdir()
    rows = (run_path / "curve.csv").read_text().splitlines()
    assert rows[-1] == ",status,finished"
    assert sum(",loss," in row for row in rows) == 3
    saved = json.loads((run_path / "config.json").read_text())
    assert saved["config"]["width"] == 16
    assert saved["config"]["data_shape"] == [1, 8, 8]
    assert saved["plugins"]["model"] == {"name": "convnet", "distribution": "pyml-shapes", "version": "1.0.0"}


def test_the_readme_is_about_a_model_of_40_lines() -> None:
    assert len((ROOT / "examples/plugin/pyml_shapes/model.py").read_text().splitlines()) <= 40
