"""Schedules: the paths from noise to data that a sampler follows. Each one serves the denoisers of all families.

A schedule says what a point x_t = s(t) (y + sigma(t) n) of its path is. EDM has s = 1 and sigma = t; flow has s = 1 - t
and sigma = t / (1 - t). Along both, the probability-flow ODE is dx/dt = (x - D) / t, by arXiv:2206.00364, algorithm 1,
line 4. A sampler therefore needs only the times, and the denoiser as a function of x_t and t.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor

from core.config.combinations import schedule_name
from core.config.config import ModelConfig
from core.diffusion.edm import edm_sigmas
from core.diffusion.flow import flow_times
from core.utils.results import Scalar

Denoise = Callable[[Tensor, float], Tensor]


@frozen
class Schedule:
    """A path from noise to data.

    Attributes:
        times: Returns the sampler's times for a config, shape ``(n_steps + 1,)``, decreasing, the last one 0. The first
            is also the standard deviation of the noise from which sampling starts.
        along: Turns a denoiser of (x, sigma) into one of (x_t, t).
        fields: Names of the config fields that ``times`` uses besides n_steps.
    """

    times: Callable[[ModelConfig], NDArray[np.float64]]
    along: Callable[[Denoise], Denoise]
    fields: tuple[str, ...]


def _edm_times(config: ModelConfig) -> NDArray[np.float64]:
    return edm_sigmas(config.n_steps, config.sigma_min, config.sigma_max, config.rho)


def _along_edm(denoise: Denoise) -> Denoise:
    return denoise


def _flow_times(config: ModelConfig) -> NDArray[np.float64]:
    return flow_times(config.n_steps, config.sigma_max)


def _along_flow(denoise: Denoise) -> Denoise:
    return lambda x, t: denoise(x / (1 - t), t / (1 - t))


EDM = Schedule(_edm_times, _along_edm, ("sigma_min", "sigma_max", "rho"))
FLOW = Schedule(_flow_times, _along_flow, ("sigma_max",))
SCHEDULES = {"edm": EDM, "flow": FLOW}


def schedule_of(config: ModelConfig) -> Schedule:
    """Return the schedule of the config's sampler: ``config.schedule``, or that of its family."""
    return SCHEDULES[schedule_name(config)]


def schedule_protocol(config: ModelConfig) -> dict[str, Scalar]:
    """Return what a protocol says of the schedule. EDM's is not named there, because earlier versions had no other."""
    named: dict[str, Scalar] = {} if schedule_of(config) is EDM else {"schedule": "flow"}
    return named | {name: getattr(config, name) for name in schedule_of(config).fields}
