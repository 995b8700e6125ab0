"""The examples with Lightning and the Trainer, by the real packages: ``make callbacks-test`` installs them."""

import importlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from core.cli import group
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log
from core.runs.sample_values import read_values
from core.runs.status import run_status

# Both packages warn about their own use of torch and of Python.
pytestmark = pytest.mark.filterwarnings("ignore")
NEEDS = {"lightning_loop": ["lightning"], "trainer_loop": ["transformers", "accelerate"]}
N_TEST = len(range(0, 1797, 4))  # every fourth of scikit-learn's 1,797 digits
N_TRAIN = 1797 - N_TEST
N_BATCHES = -(-N_TRAIN // 64)


@pytest.fixture(params=NEEDS)
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An example's module; its runs go to tmp_path."""
    # pytest puts tests/diffusion on the path, where transformers would take the folder for the package datasets.
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).name != "diffusion"])
    for package in NEEDS[request.param]:
        pytest.importorskip(package, exc_type=ImportError)
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    module = importlib.import_module(request.param)
    monkeypatch.setattr(module, "RunCallback", module.RunCallback)  # put back what a test replaces
    yield module
    torch.set_num_threads(n_threads)
    sys.modules.pop(request.param)


def test_a_training_leaves_a_finished_run_with_curve_result_and_values(example: ModuleType) -> None:
    run_path = example.train(16, seed=0, n_epochs=2)
    assert json.loads((run_path / "config.json").read_text())["config"] == {
        "model": "two layers",
        "width": 16,
        "seed": 0,
    }
    assert run_status(run_path).state == "finished"
    points, faults = read_curve(run_path)
    assert not faults
    assert [(point.step, point.epoch) for point in points] == [(N_BATCHES, 1), (2 * N_BATCHES, 2)]
    assert 0 < points[1].means["loss"] < points[0].means["loss"] < 3  # ln(10) = 2.3 is guessing
    (record,) = read_result_log(run_path).newest()
    values, damage = read_values(run_path, "train", record.metadata)
    assert list(values) == list(range(0, 1797, 4))
    assert not damage
    assert record.result.n == N_TEST
    assert record.result.mean == pytest.approx(np.mean(list(values.values())))
    assert record.result.mean > 0.5


def test_lightnings_curve_has_the_mean_over_images_and_what_the_module_logs(example: ModuleType) -> None:
    if example.__name__ != "lightning_loop":
        pytest.skip("Lightning only")
    losses, sizes = [], []

    class Recording(example.RunCallback):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
            losses.append(outputs["loss"].item())
            sizes.append(len(batch[0]))

    example.RunCallback = Recording  # type: ignore[attr-defined]
    (point,) = read_curve(example.train(16, seed=0, n_epochs=1))[0]
    assert sum(sizes) == N_TRAIN
    assert point.means["loss"] == pytest.approx(np.average(losses, weights=sizes))
    assert set(point.means) == {"loss", "validation_loss"}


def test_the_trainers_curve_has_the_numbers_that_it_logs(example: ModuleType) -> None:
    if example.__name__ != "trainer_loop":
        pytest.skip("Trainer only")
    (point,) = read_curve(example.train(16, seed=0, n_epochs=1))[0]
    assert set(point.means) == {"loss", "grad_norm", "learning_rate"}


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        ("bad batch", "failed", "ValueError: bad batch"),
        (signal.SIGINT, "interrupted", "Ctrl-C"),
        (signal.SIGTERM, "interrupted", "interrupted by SIGTERM"),
    ],
)
def test_a_training_that_does_not_end_well_says_so(
    example: ModuleType, tmp_path: Path, end: str | signal.Signals, state: str, reason: str
) -> None:
    def stop(*_args: Any, **_keywords: Any) -> None:
        if isinstance(end, signal.Signals):
            signal.raise_signal(end)
        else:
            raise ValueError(end)

    hook = "on_train_epoch_start" if example.__name__ == "lightning_loop" else "on_epoch_begin"
    stopping = type("Stopping", (example.RunCallback,), {hook: stop})
    example.RunCallback = stopping  # type: ignore[attr-defined]
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises((ValueError, KeyboardInterrupt, SystemExit)):
        example.train(16, seed=0)
    assert signal.getsignal(signal.SIGTERM) is before
    (run_path,) = (tmp_path / "experiments").iterdir()
    status = run_status(run_path)
    assert (status.state, status.reason) == (state, reason)


def test_two_widths_of_two_seeds_are_compared(example: ModuleType) -> None:
    for width in (8, 16):
        for seed in (0, 1):
            example.train(width, seed, n_epochs=1)
    done = CliRunner().invoke(group, ["compare", "width=8", "width=16"])
    assert done.exit_code == 0, done.output
    assert "paired over seeds, 2 pairs" in done.output
