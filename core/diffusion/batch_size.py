"""How many images a network can process at once without gradients, given the free memory."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

SHARE_OF_FREE = 0.25


def batch_size_for(model: nn.Module, run: Callable[[], object], device: torch.device, at_most: int) -> int:
    """Return how many images fit into a quarter of the free memory, between 1 and ``at_most``.

    Args:
        model: The network.
        run: Calls the network on one image.
        device: Where it runs.
        at_most: The usual size of a batch: larger ones are no faster.

    Every output of every module is counted, which is more than the network holds at any one time.
    """
    needed = 0

    def count(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal needed
        needed += output.numel() * output.element_size() if isinstance(output, Tensor) else 0

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, min(at_most, int(SHARE_OF_FREE * _free_bytes(device)) // max(1, needed)))


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # a system that does not report its free memory
        return 2**31
