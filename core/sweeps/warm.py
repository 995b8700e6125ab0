"""The imports of every job of a sweep. The fork server makes them once, so that no job waits for torch."""

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

torch.optim.Adam([torch.zeros(1)])  # the first optimiser of a process imports torch's compiler: 2.5 s
