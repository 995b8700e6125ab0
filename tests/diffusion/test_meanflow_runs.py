"""Runs of the family MeanFlow: what they refuse, and training, resuming and evaluating them."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from core.commands.eval import evaluate
from core.commands.sample import sample
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.datasets.gaussians import eight_gaussians
from core.diffusion.eval import Evaluator
from core.diffusion.model import Denoiser
from core.diffusion.models.conditioned import ConditionedDenoiser
from core.diffusion.models.configs import MLPConfig, UNetConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.models.unet import UNet
from core.diffusion.sampling import generate
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.checkpoints import checkpoint_path
from core.runs.result_log import read_result_log
from core.utils.signals import RunInterrupted

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"family": "flow"}, "^sampler: got 'meanflow', .* family 'meanflow'; accepted with 'flow': 'heun', 'euler'.$"),
        ({"family": "edm"}, "^sampler: .* accepted with 'edm': 'heun', 'euler', 'stochastic'.$"),
        ({"family": "edm", "schedule": "flow"}, "^sampler: .* accepted with 'edm': 'heun', 'euler'.$"),
        ({"schedule": "edm"}, "schedule: got 'edm'; accepted with sampler 'meanflow': 'flow'"),
        ({"guidance": 2.0}, r"guidance: got 2\.0; accepted with sampler 'meanflow', .*: 1\. Try: --sampler heun"),
        ({"weighting": "min_snr"}, "weighting: got 'min_snr'; accepted with family 'meanflow': 'standard'"),
        ({"compile": True}, "compile: got True; family 'meanflow' is trained without torch.compile. Try: --no-compile"),
        ({"sampler": "stochastic"}, "^sampler: .* schedule 'edm'; accepted with 'flow': 'heun', 'euler', 'meanflow'.$"),
    ],
)
def test_what_does_not_go_with_the_family_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**{"family": "meanflow", "sampler": "meanflow", **fields})


def test_the_samplers_of_flow_can_be_guided() -> None:
    config = MLPConfig(model="mlp", family="meanflow", sampler="heun", label_dropout=0.1, guidance=2.0)
    with pytest.raises(ConfigError, match=r"guidance: got 2\.0; accepted with sampler 'meanflow'"):
        attrs.evolve(config, sampler="meanflow")


@pytest.mark.parametrize(
    "fields", [{}, {"family": "flow", "schedule": "edm"}, {"family": "meanflow", "schedule": "edm"}]
)
def test_one_step_needs_the_schedule_of_flow(fields: dict[str, Any]) -> None:
    message = r"n_steps: got 1 \(int\); .* at least 2 with schedule 'edm', at least 1 with 'flow'. Try: --n-steps 18"
    with pytest.raises(ConfigError, match=message):
        ModelConfig(n_steps=1, **fields)
    assert ModelConfig(**{**fields, "n_steps": 1, "schedule": "flow"}).n_steps == 1


def test_a_model_without_an_average_velocity_is_refused_before_anything_is_written(
    tiny: MLPConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(ConditionedDenoiser, "average_velocity")
    message = (
        "family: got 'meanflow', but model 'mlp' estimates no average velocity: MLP does not define average_velocity"
    )
    with pytest.raises(ConfigError, match=message):
        train_diffusion_model(attrs.evolve(tiny, family="meanflow"), tmp_path, device="cpu")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["network", "forward", "loss", "loss_weight", "scalings"])
def test_a_method_that_the_family_would_ignore_is_refused(method: str) -> None:
    own = type("Own", (MLP,), {method: getattr(MLP, method)})
    config = MLPConfig(model="mlp", data_shape=(3,), n_classes=0, sigma_data=1.0, family="meanflow")
    with pytest.raises(ConfigError, match=f"does not call {method} of model 'mlp': Own must define average_velocity"):
        own(config)
    own(attrs.evolve(config, family="flow"))
    assert isinstance(type("Both", (own,), {"average_velocity": MLP.average_velocity})(config), MLP)


def test_only_meanflow_has_parameters_for_the_span() -> None:
    config = MLPConfig(model="mlp", data_shape=(1, 8, 8), n_classes=10, sigma_data=1.0, hidden_layer_sizes=(8,))
    unet = UNetConfig(model="unet", data_shape=(1, 8, 8), n_classes=10, sigma_data=1.0)
    for model, of_model in ((MLP, config), (UNet, unet)):
        weights = [model(attrs.evolve(of_model, family=family)).state_dict() for family in ("edm", "flow", "meanflow")]
        shapes = [{name: tuple(value.shape) for name, value in each.items()} for each in weights]
        assert shapes[0] == shapes[1]
        changed = {name for name, shape in shapes[2].items() if shapes[0][name] != shape}
        assert changed == {"conditioning.hidden.weight"}
        assert shapes[2].keys() == shapes[0].keys()


def trained_on_points(path: Path, **fields: Any) -> Denoiser:
    """Return a small model of points in the plane after 120 steps."""
    config = MLPConfig(
        model="mlp",
        dataset="gaussians",
        hidden_layer_sizes=(64, 64),
        n_epochs=6,
        batch_size=400,
        learning_rate=5e-3,
        lr_schedule="cosine",
        ema_half_life_images=5_000,
        checkpoint_every_epochs=6,
    )
    return train_diffusion_model(attrs.evolve(config, n_steps=1, **fields), path, device="cpu")  # type: ignore[return-value] # a Denoiser is a Module


def test_after_a_short_training_one_step_of_meanflow_is_far_better_than_one_of_flow(tmp_path: Path) -> None:
    """By the energy distance to new points, whose unbiased estimate is 0 for perfect samples."""
    new = torch.from_numpy(eight_gaussians().draw(2000, np.random.RandomState(5))).float()
    distances = []
    for fields in ({"family": "flow"}, {"family": "meanflow", "sampler": "meanflow", "logit_mean": -0.4}):
        (tmp_path / fields["family"]).mkdir()
        model = trained_on_points(tmp_path / fields["family"], **fields)
        points = torch.cat([batch.images for batch in generate(model, model.config, 2000, CPU)])
        within = [torch.pdist(x).mean() for x in (points, new)]
        distances.append(float(2 * torch.cdist(points, new).mean() - sum(within)))
    assert distances[1] < distances[0] / 4


def small(tiny: MLPConfig, **fields: Any) -> MLPConfig:
    return attrs.evolve(tiny, family="meanflow", sampler="meanflow", n_steps=1, **fields)


def test_a_run_is_resumed_to_the_bit(
    tiny: MLPConfig, tmp_path: Path, assert_same_run: Callable[[Path, Path], None]
) -> None:
    config = small(tiny, validation_share=0.2, label_dropout=0.1, ema_half_life_images=(500, 2000))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for path in (whole, parts):
        path.mkdir()
    train_diffusion_model(config, whole, device="cpu")
    stops = itertools.chain([None] * 4, [RunInterrupted("stop", 143)])
    with pytest.raises(RunInterrupted, match="stop"):
        train_diffusion_model(config, parts, device="cpu", stop=lambda: next(stops))
    train_diffusion_model(config, parts, device="cpu", resume=parts)
    assert_same_run(whole, parts)


def test_a_run_is_evaluated_in_one_or_several_steps_and_by_other_samplers(
    tiny: MLPConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = train_diffusion_model(small(tiny), tmp_path, device="cpu")
    names = ["denoising", "frechet"]
    results = Evaluator(model.config, tmp_path, evaluators=names, n_steps=(1, 3), device="cpu").evaluate()  # type: ignore[arg-type] # nn.Module's attributes are any
    found = [record for record in results if record.metadata.name == "frechet_distance"]
    assert [record.metadata.n_steps for record in found] == [1, 3]
    protocol = dict(found[0].metadata.protocol)
    assert (protocol["sampler"], protocol["schedule"]) == ("meanflow", "flow")
    assert all(math.isfinite(record.result.mean) for record in results)

    # The run's own number of steps, 1, does not go with the schedule of EDM, but is not asked for.
    options = ["--evaluator", "frechet", "--n-samples", "20", "--sampler", "heun", "--schedule", "edm"]
    evaluate.main([str(tmp_path), *options, "--n-steps", "2"], standalone_mode=False)
    newest = [dict(record.metadata.protocol) for record in read_result_log(tmp_path).newest()]
    assert any((one.get("sampler"), one.get("sigma_min")) == ("heun", 0.002) for one in newest)
    with pytest.raises(ConfigError, match="n_steps: got 1"):
        evaluate.main([str(tmp_path), *options], standalone_mode=False)
    sample.main([str(tmp_path), "--n", "20", *options[4:], "--n-steps", "2"], standalone_mode=False)
    captured = capsys.readouterr()
    assert ("20 samples" in captured.out, "1 step" in captured.err) == (True, False)

    # One step suits MeanFlow alone, which is said of other samplers.
    sample.main([str(tmp_path), "--n", "20"], standalone_mode=False)
    assert "Note" not in capsys.readouterr().err
    for command, *only in ((sample, "--n", "20"), (evaluate, *options[:4])):
        command.main([str(tmp_path), *only, "--sampler", "euler"], standalone_mode=False)
        assert "Note: euler takes 1 step, the run's number for meanflow. Try: --n-steps 18." in capsys.readouterr().err


def test_parts_of_a_batch_have_the_gradient_of_the_whole(tiny: MLPConfig, tmp_path: Path) -> None:
    weights = []
    for accumulate in (1, 3):
        config = small(tiny, n_epochs=1, accumulate=accumulate, dropout=0.0)
        path = tmp_path / str(accumulate)
        path.mkdir()
        train_diffusion_model(config, path, device="cpu")
        weights.append(torch.load(checkpoint_path(path), weights_only=True)["weights"])
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)
