"""Time training per image, next to a bare loop of the same network: batches, forward, backward, optimiser, EMA.

    python benchmarks/training.py [--model mlp] [--epochs 15]

Both train the same model on the same data. Their epochs alternate, so that other load on the machine affects both
equally. The bare loop is what one would write by hand: no meter, no training curve, no gradient clipping, no status
file, no stop requests. Neither writes checkpoints.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from core import plugins
from core.config.config import ModelConfig
from core.diffusion.data_fields import completed_from_data
from core.diffusion.datasets.base import TRAIN, Batches, load_data
from core.diffusion.devices import choose_device
from core.diffusion.edm import draw_sigmas
from core.diffusion.model import denoising_losses
from core.diffusion.training.epoch import train_epoch
from core.diffusion.training.state import TrainingState
from core.runs.metrics import log_curve_point

WITHIN = 1.10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each loop, after one epoch to warm up")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    config = plugins.with_own_fields(ModelConfig(model=arguments.model, dataset=arguments.dataset))
    data = load_data(config, TRAIN)
    config, _ = completed_from_data(config, data)
    batches, n = Batches(data, device), len(data)
    torch.manual_seed(0)
    bare, ours = bare_epoch(state_of(config, device, n), batches), our_epoch(state_of(config, device, n), batches)
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(arguments.epochs + 1):
        for name, run in (("bare", bare), ("ours", ours)):
            times[name].append(timed(run, device) / n)
    report({name: values[1:] for name, values in times.items()}, config, device)


def state_of(config: ModelConfig, device: torch.device, n_images: int) -> TrainingState:
    state = TrainingState(config, plugins.load(plugins.MODELS, config.model)(config), device, n_images)
    state.model.train()
    return state


def bare_epoch(state: TrainingState, batches: Batches) -> Callable[[], None]:
    config, model, parameters = state.config, state.model, state.parameters
    averages = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)

    def epoch() -> None:
        for indices in torch.split(torch.randperm(state.n_images), config.batch_size):
            images, labels = batches.take(indices)
            sigma = draw_sigmas(len(images), config.p_mean, config.p_std, state.device)
            loss = denoising_losses(model, images, torch.randn_like(images), sigma, model.sigma_data, labels).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(averages, parameters, 0.01)

    return epoch


def our_epoch(state: TrainingState, batches: Batches) -> Callable[[], None]:
    directory = Path(tempfile.mkdtemp())

    def epoch() -> None:
        train_epoch(state, batches, lambda: None)
        log_curve_point(directory, state.measures.meter, state.step, epoch=state.epoch, wall_time_s=0.0)

    return epoch


def timed(run: Callable[[], None], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start_s = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start_s


def report(times: dict[str, list[float]], config: ModelConfig, device: torch.device) -> None:
    ratios = [ours / bare for bare, ours in zip(times["bare"], times["ours"], strict=True)]
    n = len(ratios)
    print(
        f"{config.model}, {config.dataset}, batches of {config.batch_size}, {device.type}; {n} epochs of each, in turn"
    )
    for name, values in times.items():
        low, _, high = statistics.quantiles(values, n=4)
        middle = statistics.median(values)
        print(f"  {name}: {middle * 1e6:8.1f} µs per image  (quartiles {low * 1e6:.1f}, {high * 1e6:.1f})")
    low, median, high = statistics.quantiles(ratios, n=4)
    verdict = "within" if median <= WITHIN else "BEYOND"
    print(f"  ours / bare, epoch by epoch: {median:.3f}  (quartiles {low:.3f}, {high:.3f}); {verdict} {WITHIN}")


if __name__ == "__main__":
    main()
