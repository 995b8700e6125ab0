"""Threads that read the files of a data set. The result is the same for any number of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_n_workers: int | None = None


def use_workers(n_workers: int | None) -> None:
    """Read files with this number of threads in this process; None: as many as PyTorch computes with."""
    global _n_workers  # a setting of the process, such as PyTorch's number of threads; data sets know the config only
    _n_workers = n_workers


def mapped(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the function of each item, in order. Pillow decodes without the GIL, so that threads are faster.

    Raises:
        Exception: What the function raises for the first item for which it does.
    """
    n = min(_n_workers or torch.get_num_threads(), len(items))
    if n <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n) as threads:
        return list(threads.map(function, items))
