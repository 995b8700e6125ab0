"""Processes of test_meter_reduce.py: each joins a gloo group, reduces meters, and writes down what came of it."""

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch.distributed as dist

from core.meter import reduce
from core.utils.cluster_means import ClusteredMean
from core.utils.meters import Meter


def main(path: Path, n_processes: int, rank: int) -> None:
    dist.init_process_group("gloo", init_method=f"file://{path}/store", rank=rank, world_size=n_processes)
    collectives = record_collectives()
    answers = {}
    for way, most_processes in (("few", n_processes), ("many", n_processes - 1)):
        reduce._FEW_PROCESSES = most_processes
        collectives.clear()
        answers[way] = all_answers(path, rank, collectives)
    (path / f"{rank}.json").write_text(json.dumps(answers))
    dist.destroy_process_group()


def all_answers(path: Path, rank: int, collectives: list[str]) -> dict:
    return {
        **uneven(np.load(path / "shards.npz")[f"arr_{rank}"], rank),
        "collectives": list(collectives),
        **declared(rank, collectives),
        "policy": refused(Meter(nan_policy="omit" if rank else "raise").all_reduce),
        "declared_names": refused(Meter("a", "b" if rank else "c").all_reduce),
        "declared_numbers": refused(Meter(*("a", "b", "c")[: rank + 1]).all_reduce),
        "declared_beside_undeclared": refused(Meter(*("a",)[:rank]).all_reduce),
        "fault": refused(with_a_fault(rank).all_reduce),
        "declared_policy": refused(Meter("a", nan_policy="omit" if rank else "raise").all_reduce),
        "group": of_a_group(rank),
        "pairs": pairs(rank),
        "clusters": clusters(rank),
        "other_pairs": refused(Meter(pairs=[("a", "b" if rank else "c")]).all_reduce),
        "declared_pairs": refused(Meter("a", "b", pairs=[("a", "b")] if rank else []).all_reduce),
        **by_number_of_measures(rank, collectives),
    }


def record_collectives() -> list[str]:
    """Write down the collectives that are used from now on."""
    used: list[str] = []
    gather_objects, gather, reduce = dist.all_gather_object, dist.all_gather, dist.all_reduce

    def all_gather_object(*args, **kwargs):
        dist.all_gather = gather  # which it uses itself
        gather_objects(*args, **kwargs)
        used.append("names")
        dist.all_gather = all_gather

    def all_gather(*args, **kwargs):
        used.append("gather")
        return gather(*args, **kwargs)

    def all_reduce(tensor, op, group):
        used.append(str(op).rpartition(".")[2])
        return reduce(tensor, op, group)

    dist.all_gather_object, dist.all_gather, dist.all_reduce = all_gather_object, all_gather, all_reduce
    return used


def uneven(shard: np.ndarray, rank: int) -> dict:
    meter = Meter(engine=None if rank == 0 else "python", nan_policy="omit")
    meter.update(loss=shard, rank=rank)
    if rank == 1:
        meter.update(rare=[math.inf, math.nan, -3.0])
        meter.update({"only/here": 2**70}, n=5)
    before = meter.state_dict()
    reduced = meter.all_reduce()
    return {
        "uneven": reduced.state_dict(),
        "unchanged": meter.state_dict() == before,
        "same_engine": reduced.engine == meter.engine,
    }


def declared(rank: int, collectives: list[str]) -> dict:
    meter = Meter("b", "a")
    if rank == 0:
        meter.update(a=[-5e-324, 1e308])
    collectives.clear()
    reduced = meter.all_reduce()
    return {
        "declared": reduced.state_dict(),
        "collectives_declared": list(collectives),
        "still_declared": refused(lambda: reduced.update(c=1.0)),
    }


def by_number_of_measures(rank: int, collectives: list[str]) -> dict:
    """Return what few and many measures come to, and the collectives that each number takes."""
    answers: dict = {"collectives_of": {}, "means_of": {}}
    for n in (18, 19, 33):
        meter = Meter()
        meter.update({f"m{i}": float(rank * i) for i in range(n)})
        collectives.clear()
        answers["means_of"][n] = meter.all_reduce().means()
        answers["collectives_of"][n] = list(collectives)
    return answers


def pairs(rank: int) -> dict:
    meter = Meter(pairs=[("a", "b")], engine=None if rank == 0 else "python", nan_policy="omit")
    if rank < 2:
        meter.update(a=[1.5, 1e300, math.nan, math.inf][rank:], b=[-(2.0**rank), 5e-324, 1.0, 4.0][rank:], other=1.0)
    return meter.all_reduce().state_dict()


def clusters(rank: int) -> dict:
    """Return the sums of clusters whose values are split over the processes."""
    means = ClusteredMean("omit")
    if rank < 2:
        means.update([[0.1, 1e300, 2.0], [-1e300, 0.7]][rank], [[1, 2, 3], [2, 1]][rank])
    return {str(name): value for name, value in means.all_reduce().sums().items()}


def with_a_fault(rank: int) -> Meter:
    """Return a meter whose values from a device turn out to have a NaN, on one process."""
    meter = Meter("x", nan_policy="raise")
    if rank == 1:
        meter._intake._start_transfers()._faults.append(ValueError("x: got 1 NaN"))
    return meter


def of_a_group(rank: int) -> float | str:
    group = dist.new_group([0, 2])
    meter = Meter()
    meter.update(x=float(rank))
    return refused(lambda: meter.all_reduce(group)) if rank == 1 else meter.all_reduce(group).mean("x")


def refused(call: Callable[[], object]) -> str:
    try:
        call()
    except (ValueError, KeyError) as error:
        return str(error)
    return "not refused"


if __name__ == "__main__":
    path, n_processes = Path(sys.argv[1]), int(sys.argv[2])
    processes = []
    for rank in range(n_processes):  # forked here, because importing torch takes most of the time
        if not (process := os.fork()):
            main(path, n_processes, rank)
            os._exit(0)  # without the end of Python, which takes a second to free torch
        processes.append(process)
    sys.exit(sum(os.waitpid(process, 0)[1] != 0 for process in processes))
