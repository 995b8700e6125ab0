"""MeanFlow: velocity, target, loss and sampler against closed forms on Gaussian data."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from torch import Tensor

from core.config.config import ModelConfig
from core.diffusion import meanflow
from core.diffusion.datasets.base import InMemory
from core.diffusion.likelihood import exact_trace, log_density
from core.diffusion.meanflow import (
    SHARE_WITH_SPAN,
    adaptively_weighted,
    draw_meanflow_sigmas,
    draw_spans,
    meanflow_sampler,
    meanflow_target,
)
from core.diffusion.model import Denoiser
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.sampling import bind, sample_batch
from core.diffusion.training.validation import Validation

SPREAD = 0.5  # of the data: y ~ N(0, SPREAD²)
CONFIG = ModelConfig(data_shape=(1,), n_classes=0, sigma_data=SPREAD, family="meanflow", sampler="meanflow")
CPU = torch.device("cpu")


def spread(t: Tensor) -> Tensor:
    """Return the standard deviation of z = (1 - t) y + t n, along which every solution of the flow's ODE scales."""
    return ((1 - t) ** 2 * SPREAD**2 + t**2).sqrt()


def exact_velocity(z: Tensor, t: Tensor) -> Tensor:
    return z * ((t - (1 - t) * SPREAD**2) / spread(t) ** 2)[:, None]


def exact_average(z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return (z - z_r) / (t - r) with z_r = z spread(r) / spread(t); by its limit where r = t."""
    nonzero = torch.where(span == 0, 1, span)
    average = z * ((1 - spread(t - nonzero) / spread(t)) / nonzero)[:, None]
    return torch.where((span == 0)[:, None], exact_velocity(z, t), average)


class Exact(Denoiser):
    """The network that knows the average velocity."""

    def average_velocity(self, z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None) -> Tensor:
        return exact_average(z, t, span)


def times(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return t and spans t - r, float64, of which about a quarter are not 0."""
    torch.manual_seed(seed)
    sigma = draw_meanflow_sigmas(n, "logit_normal", -0.4, 1.0).double()
    return sigma / (1 + sigma), draw_spans(sigma, "logit_normal", -0.4, 1.0)


def net(**fields: Any) -> MLP:
    """Return a small MLP with random weights in its last layer, too."""
    torch.manual_seed(0)
    about = {
        "data_shape": (3,),
        "n_classes": 2,
        "sigma_data": 1.0,
        "family": "meanflow",
        "hidden_layer_sizes": (16, 16),
    }
    model = MLP(MLPConfig(model="mlp", **{"embedding_size": 16, **about, **fields}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_the_average_velocity_is_the_mean_of_the_velocity_along_the_ode() -> None:
    def ode(time: float, x: Any) -> Any:
        return exact_velocity(torch.tensor(x)[None], torch.tensor([time], dtype=torch.float64))[0].numpy()

    for r, t in ((0.1, 0.9), (0.0, 0.988), (0.3, 0.4)):
        path = scipy.integrate.solve_ivp(ode, (t, r), [1.3], rtol=1e-10, atol=1e-12)
        z, now, span = torch.tensor([1.3, t, t - r], dtype=torch.float64)
        found = exact_average(z[None, None], now[None], span[None])
        assert found.item() == pytest.approx((1.3 - path.y[0, -1]) / (t - r), rel=1e-7)


def test_the_target_of_the_exact_average_velocity_is_itself() -> None:
    """The MeanFlow identity u = v - (t - r) du/dt, with the velocity of the ODE."""
    t, span = times(400)
    z = torch.randn(400, 1, dtype=torch.float64)
    target = meanflow_target(exact_average, z, exact_velocity(z, t), t, span, None)
    assert 60 < (span > 0).sum() < 140
    assert torch.allclose(target, exact_average(z, t, span), atol=2e-3)


def test_targets_of_single_images_are_right_on_average() -> None:
    """Their mean given z is the exact average velocity, so that no multiple of it has a smaller expected error."""
    n = 200_000
    t, span = times(n)
    y, noise = SPREAD * torch.randn(n, 1, dtype=torch.float64), torch.randn(n, 1, dtype=torch.float64)
    v = noise - y
    z = y + t[:, None] * v
    u = exact_average(z, t, span)
    slopes = (u - meanflow_target(exact_average, z, v, t, span, None)) * u
    for chosen in (span == 0, span > 0):
        found = slopes[chosen[:, None]]
        assert abs(found.mean()) < 4 * found.std() / math.sqrt(len(found))


def test_the_derivative_is_that_of_automatic_differentiation(monkeypatch: pytest.MonkeyPatch) -> None:
    model, labels = net().double().eval(), torch.arange(40) % 2
    t, span = times(40)
    span[0] = t[0] / 2
    z, v = torch.randn(2, 40, 3, dtype=torch.float64)

    def u(z: Tensor, t: Tensor, span: Tensor) -> Tensor:
        return model.average_velocity(z, t, span, labels)

    _, derivative = torch.autograd.functional.jvp(u, (z, t, span), (v, torch.ones_like(t), torch.ones_like(t)))
    exact = v - span[:, None] * derivative
    errors = []
    for step in (meanflow.TIME_STEP, meanflow.TIME_STEP / 2):
        monkeypatch.setattr(meanflow, "TIME_STEP", step)
        found = meanflow_target(model.average_velocity, z, v, t, span, labels)
        assert torch.equal(found[span == 0], v[span == 0])
        errors.append(((found - exact).norm() / (v - exact).norm()).item())
    assert errors[0] < 0.01
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)  # an error of second order


def test_the_gradient_is_that_of_algorithm_1_of_the_paper() -> None:
    """Written as there, with the times in the order z, r, t, and a derivative by automatic differentiation."""
    model, labels, n = net().double().train(), torch.arange(80) % 2, 80
    t, span = times(n, seed=1)
    images, noise = torch.randn(2, n, 3, dtype=torch.float64)
    losses = model.loss_over_spans(images, noise, t / (1 - t), labels, span)
    losses.mean().backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()

    r = t - span
    z, v = (1 - t[:, None]) * images + t[:, None] * noise, noise - images

    def u_theta(z: Tensor, r: Tensor, t: Tensor) -> Tensor:
        return model.average_velocity(z, t, t - r, labels)

    tangents = v, torch.zeros_like(r), torch.ones_like(t)
    u, derivative = torch.autograd.functional.jvp(u_theta, (z, r, t), tangents, create_graph=True)
    error = u - (v - (t - r)[:, None] * derivative).detach()
    squared = (error**2).sum(1)
    (squared / (squared.detach() + 1e-3)).mean().backward()
    assert torch.allclose(losses, (error**2).mean(1), rtol=0.05)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert found[name] is not None
        assert (found[name] - parameter.grad).norm() < 0.005 * parameter.grad.norm(), name  # type: ignore[operator] # not None


def test_the_validation_loss_is_that_over_spans() -> None:
    """The exact average velocity plus 3 over spans has an error that is larger by 3², for a quarter of the draws."""

    class Off(Exact):
        def average_velocity(self, z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None) -> Tensor:
            return exact_average(z, t, span) + 3 * (span > 0)[:, None]

    torch.manual_seed(0)
    data = InMemory(SPREAD * torch.randn(2000, 1), torch.zeros(2000, dtype=torch.int64), 0)
    losses = [Validation(data, CPU).losses(model(CONFIG)).mean().item() for model in (Exact, Off)]
    assert losses[1] - losses[0] == pytest.approx(SHARE_WITH_SPAN * 9, abs=0.3)


def test_the_step_of_the_derivative_suits_float32() -> None:
    """Rounding errors are divided by the step, so a smaller one would drown the derivative in them."""
    model, labels = net().eval(), torch.arange(200) % 2
    t, span = torch.full((200,), 0.6), torch.full((200,), 0.4)
    z, v = torch.randn(2, 200, 3)
    found = meanflow_target(model.average_velocity, z, v, t, span, labels)
    inputs = [each.double() for each in (z, v, t, span)]
    exact = meanflow_target(model.double().average_velocity, *inputs, labels)
    assert (found - exact).norm() < 5e-5 * (v - exact).norm()


@pytest.mark.parametrize(
    ("name", "low", "full", "is_new"), [("allow_tf32", True, False, False), ("fp32_precision", "tf32", "ieee", True)]
)
def test_the_derivative_is_computed_without_tf32(
    name: str, low: object, full: object, is_new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the digits of a difference of two close values, TF32's 11 bits would leave too few.

    The settings are those of PyTorch before and from 2.9 on.
    """
    kernels = {each: SimpleNamespace(**{name: low}) for each in ("cudnn.conv", "cuda.matmul", "mkl.conv", "mkl.matmul")}
    cudnn = SimpleNamespace(**({"conv": kernels["cudnn.conv"]} if is_new else {name: low}))
    mkldnn = SimpleNamespace(conv=kernels["mkl.conv"], matmul=kernels["mkl.matmul"])
    faked = SimpleNamespace(cudnn=cudnn, cuda=SimpleNamespace(matmul=kernels["cuda.matmul"]), mkldnn=mkldnn)
    used = list(kernels.values()) if is_new else [cudnn, kernels["cuda.matmul"]]
    seen: list[object] = []

    def failing(z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None) -> Tensor:
        seen.extend(getattr(each, name) for each in used)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch, "backends", faked)
    with pytest.raises(RuntimeError, match="out of memory"):
        meanflow_target(failing, torch.ones(2, 1), torch.ones(2, 1), torch.ones(2), torch.ones(2), None)
    assert (seen, [getattr(each, name) for each in used]) == ([full] * len(used), [low] * len(used))


def test_settings_of_float32_of_this_pytorch_can_be_changed_and_restored() -> None:
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):
        pytest.skip("PyTorch before 2.9 has no fp32_precision")
    before = backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision
    with meanflow._full_float32():
        assert (backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision) == ("ieee", "ieee")
    assert (backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision) == before


def test_the_network_is_called_again_only_where_there_is_a_span() -> None:
    calls = []

    def counting(z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None) -> Tensor:
        calls.append(len(z))
        assert not torch.is_grad_enabled()
        return exact_average(z, t, span)

    z, t, v = torch.randn(5, 1), torch.full((5,), 0.5), torch.randn(5, 1)
    assert torch.equal(meanflow_target(counting, z, v, t, torch.zeros(5), None), v)
    assert not calls
    meanflow_target(counting, z, v, t, torch.tensor([0, 0.1, 0, 0.2, 0]), None)
    assert calls == [4]


def test_neither_dropout_nor_bf16_disturbs_the_target() -> None:
    model, labels, n = net(dropout=0.5).train(), torch.arange(64) % 2, 64
    model.conditioning.eval()  # as a model does with a part that it does not train
    images, noise = torch.randn(2, n, 3)
    t, span = torch.full((n,), 0.6), torch.full((n,), 0.4)
    targets: list[Tensor] = []

    def kept(errors: Tensor) -> Tensor:
        targets.append(errors)
        return errors.flatten(1).mean(1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.diffusion.model.adaptively_weighted", kept)
        patch.setattr(MLP, "average_velocity", _without_dropout_noise(MLP.average_velocity))
        for enabled in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                model.loss_over_spans(images, noise, t / (1 - t), labels, span)
    assert [module.training for module in (model, model.layers[0], model.conditioning)] == [True, True, False]
    assert torch.equal(*targets)
    model.eval()
    expected = meanflow_target(model.average_velocity, images + 0.6 * (noise - images), noise - images, t, span, labels)
    assert torch.allclose(-targets[0], expected, atol=1e-6)


def test_an_error_in_the_target_leaves_the_model_in_training_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    model, modes = net(dropout=0.5).train(), []

    def failing(self: MLP, *inputs: Tensor | None) -> Tensor:
        modes.append(self.training)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(MLP, "average_velocity", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.loss_over_spans(*torch.randn(2, 4, 3), torch.ones(4), torch.zeros(4).long(), torch.full((4,), 0.3))
    assert modes == [False]
    assert all(module.training for module in model.modules())


def _without_dropout_noise(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return 0 where there is a gradient, that is, for the output; the method itself for the target."""

    def average_velocity(self: MLP, z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None) -> Tensor:
        return torch.zeros_like(z) if torch.is_grad_enabled() else method(self, z, t, span, labels)

    return average_velocity


def test_the_loss_is_the_mean_squared_error_with_the_gradient_of_the_weighted_loss() -> None:
    errors = torch.tensor([[3.0, -4.0], [0.0, 0.01], [0.0, 0.0]], requires_grad=True)
    losses = adaptively_weighted(errors)
    assert losses.tolist() == pytest.approx([12.5, 5e-5, 0.0])
    losses.sum().backward()
    expected = [[6 / 25.001, -8 / 25.001], [0.0, 0.02 / 0.0011], [0.0, 0.0]]  # 2 e / (E + 0.001)
    assert errors.grad is not None
    assert torch.allclose(errors.grad, torch.tensor(expected))


def drawn(model: Denoiser, n: int) -> tuple[Tensor, Tensor]:
    """Return noise levels and spans as training draws them, in float64: spans are exact differences then."""
    sigma = model.draw_sigmas(n).double()
    span = model.draw_spans(sigma)
    assert span is not None
    return sigma, span


@pytest.mark.parametrize(("mean", "std"), [(-0.4, 1.0), (0.7, 0.5), (-1.0, 2.0)])
def test_times_are_the_larger_and_the_smaller_of_two_draws(mean: float, std: float) -> None:
    torch.manual_seed(0)
    model = net(logit_mean=mean, logit_std=std)
    sigma, span = drawn(model, 40_000)
    assert (span > 0).double().mean().item() == pytest.approx(SHARE_WITH_SPAN, abs=0.01)
    below = scipy.stats.norm(mean, std).cdf
    assert scipy.stats.kstest(sigma.log(), lambda x: below(x) ** 2).pvalue > 0.001
    t = (sigma / (1 + sigma))[span > 0]
    r = t - span[span > 0]
    assert scipy.stats.kstest(r.logit(), lambda x: 1 - (1 - below(x)) ** 2).pvalue > 0.001
    shares = below(r.logit()) / below(t.logit())  # the smaller of two draws is any draw below the larger one
    assert scipy.stats.kstest(shares, "uniform").pvalue > 0.001
    assert abs(scipy.stats.spearmanr(shares, t).statistic) < 0.03


def test_uniform_times_have_uniform_earlier_times() -> None:
    torch.manual_seed(0)
    sigma, span = drawn(net(t_distribution="uniform"), 40_000)
    t = sigma / (1 + sigma)
    assert scipy.stats.kstest(t, lambda x: x**2).pvalue > 0.001
    shares = ((t - span) / t)[span > 0]
    assert scipy.stats.kstest(shares, "uniform").pvalue > 0.001


@pytest.mark.parametrize("n_steps", [1, 2, 5])
def test_with_the_exact_average_velocity_any_number_of_steps_is_exact(n_steps: int) -> None:
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    first = torch.tensor(80 / 81, dtype=torch.float64)
    exact = noise * first * SPREAD / spread(first)
    found = sample_batch(Exact(CONFIG), None, lambda: noise, attrs.evolve(CONFIG, n_steps=n_steps))
    assert torch.allclose(found, exact, atol=1e-6)


def test_without_a_span_the_model_is_the_best_denoiser() -> None:
    model, x = Exact(CONFIG), torch.linspace(-3, 3, 7)[:, None]
    for sigma in (0.01, 0.5, 3.0, 80.0):
        scaled = x * math.hypot(sigma, SPREAD)
        best = scaled * SPREAD**2 / (SPREAD**2 + sigma**2)
        assert torch.allclose(model(scaled, torch.tensor(sigma)), best, atol=2e-5)


def test_the_likelihood_is_the_gaussian_density() -> None:
    x = torch.linspace(-1.5, 1.5, 9, dtype=torch.float64)[:, None]
    nats, _ = log_density(bind(Exact(CONFIG), None), x, exact_trace, sigma_min=0.01, sigma_max=80.0, n_steps=60)
    exact = scipy.stats.norm(scale=math.hypot(SPREAD, 0.01)).logpdf(x[:, 0].numpy())
    assert nats[0].numpy() == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("sampler", ["heun", "euler"])
def test_one_step_of_flows_samplers_goes_straight_to_the_mean(sampler: str) -> None:
    config = attrs.evolve(CONFIG, sampler=sampler, n_steps=1)
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    first = torch.tensor([80 / 81], dtype=torch.float64)
    expected = noise * first - first * exact_velocity(noise * first, first)
    assert torch.allclose(sample_batch(Exact(config), None, lambda: noise, config), expected, atol=1e-5)


def test_the_sampler_asks_for_each_span_and_passes_the_labels() -> None:
    asked: list[tuple[float, float]] = []

    def asking(z: Tensor, t: Tensor, span: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        asked.append((t[0].item(), span[0].item()))
        return torch.ones_like(z) * labels[:, None]

    noise, labels = torch.zeros(3, 1, dtype=torch.float64), torch.tensor([0, 1, 2])
    found = meanflow_sampler(asking, noise, np.array([0.75, 0.5, 0.0]), labels)
    assert asked == [(0.75, 0.25), (0.5, 0.5)]
    assert found[:, 0].tolist() == [0.0, -0.75, -1.5]
