"""The imports of every job of a sweep. The fork server makes them once, so that no job waits for torch."""

import contextlib
import os

import numpy.random  # noqa: F401  # all of these are imported for their effect
import torch

import core.cli
import core.commands.eval
import core.commands.progress_bar
import core.commands.train
import core.diffusion.datasets.packaged
import core.diffusion.eval
import core.diffusion.models.mlp
import core.diffusion.models.unet
import core.diffusion.train  # noqa: F401  # for its effect, as above

# A signal to the terminal's process group, as when it is closed, is for the sweep alone. If it ended the fork server,
# the runs could not be told to stop.
if hasattr(os, "setsid"):
    with contextlib.suppress(OSError):
        os.setsid()

torch.optim.Adam([torch.zeros(1)])  # the first optimiser of a process imports torch's compiler: 2.5 s
