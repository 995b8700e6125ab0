"""Every file of a run as an earlier version wrote it must still load: tests/data/run-1, run-2, ... are such runs."""

import shutil
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from core import plugins
from core.diffusion.eval import Evaluator
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.checkpoint_names import checkpoint_names
from core.diffusion.training.checkpoints import load_checkpoint
from core.runs.files import read_json_lines
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log
from core.runs.status import run_status
from core.runs.tags import Tags, read_tags
from results.database import ResultsDatabase

DATA = Path(__file__).parents[1] / "data"
RUNS = pytest.mark.parametrize(("saved", "sigma_data"), [("run-1", 0.753), ("run-2", 0.847)])


@RUNS
def test_config_status_curve_and_results_load(saved: str, sigma_data: float) -> None:
    path = DATA / saved
    config = plugins.saved_config(path)
    assert isinstance(config, MLPConfig)
    assert (config.hidden_layer_sizes, config.data_shape) == ((4,), (1, 8, 8))
    assert config.sigma_data == pytest.approx(sigma_data, abs=5e-4)
    assert run_status(path).state == "finished"
    (epoch,), faults = read_json_lines(path / "metrics.jsonl")
    assert not faults
    assert epoch["measures"]["loss"]["n"] == 1438
    log = read_result_log(path)
    assert log.faults == ()
    assert len(log.newest().filter(name="denoising_loss")) == 1
    values = np.load(path / "values" / "eval-0001" / "denoising.npz")
    assert values["sample_id"].tolist() == list(range(359))
    assert values["value"].mean() == pytest.approx(log.newest().filter(name="denoising_loss")[0].result.mean)


@pytest.mark.parametrize("saved", ["run-1", "run-2"])
def test_the_run_is_listed_evaluated_and_continued(tmp_path: Path, saved: str) -> None:
    run_path = tmp_path / "20260101T000000000001Z_aaaaaa"
    shutil.copytree(DATA / saved, run_path)
    (run,) = ResultsDatabase(tmp_path)
    assert run.config["model"] == "mlp"
    assert run.faults == []
    before = read_result_log(run_path).newest().filter(name="denoising_loss")[0].result
    results = Evaluator(plugins.saved_config(run_path), run_path, evaluators=["denoising"], device="cpu").evaluate()
    assert results[0].result.mean == pytest.approx(before.mean, rel=1e-5)  # kernels differ between machines
    assert results[0].metadata == read_result_log(DATA / saved).newest().filter(name="denoising_loss")[0].metadata or (
        saved == "run-1"  # from before the data's fingerprint was part of the protocol
    )
    more = attrs.evolve(plugins.saved_config(run_path), n_epochs=2)
    train_diffusion_model(more, run_path, device="cpu", resume=run_path)
    assert [row["epoch"] for row in read_json_lines(run_path / "metrics.jsonl")[0]] == [1, 2]


def test_a_checkpoint_of_the_second_format_loads_and_continues(tmp_path: Path) -> None:
    run_path = tmp_path / "20260101T000000000001Z_aaaaaa"
    shutil.copytree(DATA / "run-3", run_path)
    config = plugins.saved_config(run_path)
    assert (config.ema_half_life_images, config.validation_share, config.keep_every_epochs) == ((20_000, 5), 0.1, 1)
    for name in ("last", "best"):
        state = load_checkpoint(run_path, config, name).state
        assert (state["schema"], list(state["other_emas"])) == ("pyml.checkpoint/2", [5])
        assert state["best"] == {"step": 1, "loss": pytest.approx(best_loss(run_path))}
    before = read_result_log(run_path).newest().filter(name="denoising_loss")[0]
    assert dict(before.metadata.protocol)["checkpoint"] == "best"
    chosen: dict[str, Any] = {"checkpoint": "best", "ema_half_life_images": 5, "device": "cpu"}
    results = Evaluator(config, run_path, evaluators=["denoising"], **chosen).evaluate()
    assert results[0].result.mean == pytest.approx(before.result.mean, rel=1e-5)
    assert results[0].metadata == before.metadata
    train_diffusion_model(attrs.evolve(config, n_epochs=2), run_path, device="cpu", resume=run_path)
    assert checkpoint_names(run_path) == ["best", "last", "step-2"]


def best_loss(run_path: Path) -> float:
    """Return the lowest validation loss of the curve."""
    return min(point.means["validation_loss"] for point in read_curve(run_path)[0])


def test_the_tags_of_the_second_format_load() -> None:
    tags = read_tags(DATA / "run-2")
    assert isinstance(tags, Tags)
    assert (tags.tags, tags.note, tags.archived) == (("tiny",), "a small run for the tests", False)
