"""Other libraries that are in use today. Each does the same work in its own, approximate way."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timing import Candidate

Array = NDArray[np.floating[Any]]


class AverageMeter:
    """The running average that many training scripts copy from each other."""

    def __init__(self) -> None:
        self.sum = 0.0
        self.count = 0
        self.average = 0.0

    def update(self, value: float, n: int = 1) -> None:
        """Add the mean of n samples."""
        self.sum += value * n
        self.count += n
        self.average = self.sum / self.count


@dataclass(frozen=True)
class Peer:
    """The statements by which one library does the work; None where it cannot do it.

    Statements can use the names ``meter``, ``x``, ``total`` and ``new``.
    """

    name: str
    library: str
    new: Callable[[Any], Any]  # makes a meter, given the imported library
    add: str | None = None
    add_array: str | None = None
    read: str | None = None
    merge: str | None = None
    as_input: Callable[[Array], Any] = lambda array: array


def as_tensor(array: Array) -> Any:
    return importlib.import_module("torch").from_numpy(array)


PEERS = (
    Peer("plain Python AverageMeter", "peers", lambda m: m.AverageMeter, add="meter.update(x)"),
    Peer(
        "river Var",
        "river.stats",
        lambda m: m.Var,
        add="meter.update(x)",
        read="meter.mean.get(); meter.get()",
        merge="total += meter",
    ),
    Peer(
        "boost-histogram Mean",
        "boost_histogram",
        lambda m: m.accumulators.Mean,
        add="meter.fill(x)",
        add_array="meter.fill(x)",
        read="meter.value; meter.variance",
        merge="total += meter",
    ),
    Peer(
        "xsum (two sums, squares rounded)",
        "xsum",
        lambda m: lambda: (m.xsum_large(), m.xsum_large()),
        add="meter[0].add(x); meter[1].add(x * x)",
        add_array="meter[0].add(x); meter[1].add_sqnorm(x)",
    ),
    Peer("numpy mean + std", "numpy", lambda m: m.array, add_array="x.mean(); x.std(ddof=1)"),
    Peer("numpy sum + sum of squares", "numpy", lambda m: m.array, add_array="x.sum(); x @ x"),
    Peer("torch sum (no spread)", "torch", lambda m: m.empty, add_array="x.sum()", as_input=as_tensor),
    Peer("torch mean + std", "torch", lambda m: m.empty, add_array="x.mean(); x.std()", as_input=as_tensor),
    Peer(
        "torchmetrics MeanMetric (no spread)",
        "torchmetrics",
        lambda m: m.MeanMetric,
        add="meter.update(x)",
        add_array="meter.update(x)",
        read="meter._computed = None; meter.compute()",  # otherwise the second call returns a cached result
        merge="total.merge_state(meter)",
        as_input=as_tensor,
    ),
    Peer(
        "torcheval Mean (no spread)",
        "torcheval.metrics",
        lambda m: m.Mean,
        add_array="meter.update(x)",
        as_input=as_tensor,
    ),
)


@cache
def installed() -> dict[str, Callable[[], Any]]:
    """Return a function that makes a meter for each installed library; print the names of those not installed."""
    if importlib.util.find_spec("torch") is not None:
        importlib.import_module("torch").set_num_threads(1)
    makers = {}
    for peer in PEERS:
        if importlib.util.find_spec(peer.library.split(".")[0]) is None:
            print(f"(peer {peer.library} is not installed: skipped)")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            makers[peer.name] = peer.new(importlib.import_module(peer.library))
    return makers


def one_float(x: float) -> Iterator[Candidate]:
    """Return the other libraries' candidates for ``update(loss=x)``."""
    for peer, new in _those_with("add"):
        yield Candidate(peer.name, str(peer.add), {"meter": new(), "x": x})


def array(x: Array) -> Iterator[Candidate]:
    """Return the other libraries' candidates for ``update(loss=array)``."""
    for peer, new in _those_with("add_array"):
        meter = new() if peer.add is not None or "meter" in str(peer.add_array) else None
        yield Candidate(peer.name, str(peer.add_array), {"meter": meter, "x": peer.as_input(x)})


def read_out() -> Iterator[Candidate]:
    """Return the other libraries' candidates for ``mean()`` and ``error()`` together."""
    for peer, new in _those_with("read"):
        yield Candidate(peer.name, str(peer.read), {"meter": _filled(peer, new, 0)})


def merge(count: int) -> Iterator[Candidate]:
    """Return the other libraries' candidates for merging ``count`` meters into a new one."""
    for peer, new in _those_with("merge"):
        meters = [_filled(peer, new, i) for i in range(count)]
        yield Candidate(peer.name, f"total = new()\nfor meter in meters: {peer.merge}", {"new": new, "meters": meters})


def _those_with(statement: str) -> Iterator[tuple[Peer, Callable[[], Any]]]:
    for peer in PEERS:
        if getattr(peer, statement) is not None and peer.name in installed():
            yield peer, installed()[peer.name]


def _filled(peer: Peer, new: Callable[[], Any], start: int) -> Any:
    meter = new()
    for x in (0.25 + start, 0.5, 1.0):
        exec(str(peer.add), {"meter": meter, "x": x})
    return meter
