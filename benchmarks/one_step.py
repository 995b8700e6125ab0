"""Try MeanFlow, which samples in one step, on the data set `gaussians`, beside rectified flow with the same network.

Usage: python benchmarks/one_step.py [--n-epochs 120] [--seed 0]

For 1, 2, 5, 18 and 50 Euler steps it prints the energy distance to new points (0 for a perfect model), and the share of
samples farther than 3 standard deviations from every component (0.011 for the data). The total derivative of MeanFlow's
target is a central difference: with torch.func.jvp, a training step took three times as long on a CPU.

Source: Geng et al. 2025, "Mean Flows for One-step Generative Modeling", arXiv:2505.13447, algorithms 1 and 2, with the
times of its table 1 (25% r != t, logit-normal with mean -0.4 and deviation 1, adaptive weight with p = 1).
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.diffusion.datasets.gaussians import eight_gaussians

N_TRAIN, BATCH_SIZE, WIDTH, LEARNING_RATE, H = 8000, 256, 128, 1e-3, 5e-3
N_SAMPLES, STEPS = 4000, (1, 2, 5, 18, 50)


class Velocity(nn.Module):
    """Estimates the average velocity u(z, r, t) between two times; with r = t it is the velocity of a flow."""

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", math.pi / 2 * torch.logspace(math.log10(0.25), math.log10(16), 16))
        self.times = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        self.layers = nn.ModuleList(nn.Linear(n, WIDTH) for n in (2, WIDTH, WIDTH))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in self.layers)
        self.modulations = nn.ModuleList(nn.Linear(128, 2 * WIDTH) for _ in self.layers)
        self.out = nn.Linear(WIDTH, 2)
        for layer in [*self.modulations, self.out]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """Return shape ``(N, 2)``, given shapes ``(N, 2)``, ``(N,)`` and ``(N,)``."""
        angles = torch.cat([t[:, None] * self.frequencies, (t - r)[:, None] * self.frequencies], 1)
        conditioning = self.times(torch.cat([angles.sin(), angles.cos()], 1))
        hidden = z
        for layer, norm, modulation in zip(self.layers, self.norms, self.modulations, strict=True):
            scale, shift = modulation(conditioning).chunk(2, 1)
            update = functional.silu(norm(layer(hidden)) * (1 + scale) + shift)
            hidden = hidden + update if hidden.shape == update.shape else update
        velocity: Tensor = self.out(hidden)
        return velocity


def flow_loss(net: Velocity, images: Tensor, noise: Tensor) -> Tensor:
    _, t = draw_times(len(images))
    z, velocity = (1 - t)[:, None] * images + t[:, None] * noise, noise - images
    return (net(z, t, t) - velocity).square().sum(1).mean()


def mean_flow_loss(net: Velocity, images: Tensor, noise: Tensor) -> Tensor:
    r, t = draw_times(len(images))
    z, velocity = (1 - t)[:, None] * images + t[:, None] * noise, noise - images
    with torch.no_grad():
        h = torch.minimum(t, 1 - t).clamp(1e-4, H)
        change = h[:, None] * velocity
        derivative = (net(z + change, r, t + h) - net(z - change, r, t - h)) / (2 * h[:, None])
        target = velocity - (t - r)[:, None] * derivative
    errors = (net(z, r, t) - target).square().sum(1)
    return (errors / (errors.detach() + 1e-3)).mean()


def draw_times(n: int) -> tuple[Tensor, Tensor]:
    """Return r <= t; three quarters have r = t."""
    r, t = (torch.randn(n, 2) - 0.4).sigmoid().sort(1).values.unbind(1)
    return torch.where(torch.rand(n) < 0.25, r, t), t


def train(family: str, n_epochs: int, seed: int) -> tuple[Velocity, float]:
    """Return the moving average of the trained network, and the CPU time in seconds."""
    torch.manual_seed(seed)
    points = torch.from_numpy(eight_gaussians().draw(N_TRAIN, np.random.RandomState(0))).float()
    loss, net = {"flow": flow_loss, "meanflow": mean_flow_loss}[family], Velocity()
    average = copy.deepcopy(net)
    optimizer, n_steps = torch.optim.Adam(net.parameters()), n_epochs * (N_TRAIN // BATCH_SIZE)
    start_s = time.process_time()
    for step in range(n_steps):
        if step % (N_TRAIN // BATCH_SIZE) == 0:
            order = torch.randperm(N_TRAIN)
        images = points[order[step % (N_TRAIN // BATCH_SIZE) * BATCH_SIZE :][:BATCH_SIZE]]
        rate = min(1, (step + 1) / 100) * (1 + math.cos(math.pi * step / n_steps)) / 2
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * rate
        optimizer.zero_grad()
        loss(net, images, torch.randn_like(images)).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        for kept, new in zip(average.parameters(), net.parameters(), strict=True):
            kept.detach().lerp_(new.detach(), 1 - min(0.999, (step + 2) / (step + 11)))
    return average, time.process_time() - start_s


@torch.no_grad()
def sample(net: Velocity, family: str, n_steps: int) -> Tensor:
    z = torch.randn(N_SAMPLES, 2, generator=torch.Generator().manual_seed(7))
    for t, r in itertools.pairwise(torch.linspace(1, 0, n_steps + 1).tolist()):
        now = torch.full((N_SAMPLES,), t)
        z = z - (t - r) * net(z, torch.full_like(now, r) if family == "meanflow" else now, now)
    return z


def energy_distance(a: Tensor, b: Tensor) -> float:
    """Return the unbiased estimate of the squared energy distance of two samples."""

    def within(x: Tensor) -> Tensor:
        return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))

    return float(2 * torch.cdist(a, b).mean() - within(a) - within(b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-epochs", type=int, default=120, help="passes over 8,000 points")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, batches and noise")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = eight_gaussians()
    new = torch.from_numpy(data.draw(N_SAMPLES, np.random.RandomState(5))).float()
    for family in ("flow", "meanflow"):
        net, cpu_s = train(family, given.n_epochs, given.seed)
        print(f"{family}: {cpu_s:.0f} s of CPU time")
        for n_steps in STEPS:
            points = sample(net, family, n_steps)
            outside = (torch.cdist(points.double(), data.means).min(1).values > 0.3).float().mean()
            print(f"  {n_steps:2} steps: energy distance {energy_distance(points, new):.4f}, outside {outside:.3f}")


if __name__ == "__main__":
    main()
