"""Every file of a run as version 1 of its format wrote it must still load: tests/data/run-1 is such a run."""

import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest

from core import plugins
from core.diffusion.eval import Evaluator
from core.diffusion.models.configs import MLPConfig
from core.diffusion.train import train_diffusion_model
from core.runs.files import read_json_lines
from core.runs.result_log import read_result_log
from core.runs.status import run_status
from results.database import ResultsDatabase

RUN = Path(__file__).parents[1] / "data" / "run-1"


def test_config_status_curve_and_results_load() -> None:
    config = plugins.saved_config(RUN)
    assert isinstance(config, MLPConfig)
    assert (config.hidden_layer_sizes, config.data_shape, config.sigma_data) == ((4,), (1, 8, 8), 0.753)
    assert run_status(RUN).state == "finished"
    (epoch,), faults = read_json_lines(RUN / "metrics.jsonl")
    assert not faults
    assert epoch["measures"]["loss"]["n"] == 1438
    log = read_result_log(RUN)
    assert log.faults == ()
    assert len(log.newest().filter(name="denoising_loss")) == 1
    values = np.load(RUN / "values" / "eval-0001" / "denoising.npz")
    assert values["sample_id"].tolist() == list(range(359))
    assert values["value"].mean() == pytest.approx(log.newest().filter(name="denoising_loss")[0].result.mean)


def test_the_run_is_listed_evaluated_and_continued(tmp_path: Path) -> None:
    run_path = tmp_path / "20260101T000000000001Z_aaaaaa"
    shutil.copytree(RUN, run_path)
    (run,) = ResultsDatabase(tmp_path)
    assert run.config["model"] == "mlp"
    before = read_result_log(run_path).newest().filter(name="denoising_loss")[0].result
    results = Evaluator(plugins.saved_config(run_path), run_path, evaluators=["denoising"], device="cpu").evaluate()
    assert results[0].result.mean == pytest.approx(before.mean, rel=1e-5)  # kernels differ between machines
    more = attrs.evolve(plugins.saved_config(run_path), n_epochs=2)
    train_diffusion_model(more, run_path, device="cpu", resume=run_path)
    assert [row["epoch"] for row in read_json_lines(run_path / "metrics.jsonl")[0]] == [1, 2]
