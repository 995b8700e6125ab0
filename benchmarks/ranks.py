"""Time training and evaluation in 1, 2 and 4 processes of one thread each, and the reduction of an epoch's measures.

    python benchmarks/ranks.py [--rounds 2] [--docs]

Training is timed over 10 consecutive steps of an epoch, evaluation from the moment when all processes have imported
torch until the results are merged. Runs with different numbers of processes take turns. The fastest 10 steps and the
fastest evaluation count, because other load on the machine only adds time. The row "2 without exchange" is what this
machine allows: two processes that train by themselves at the same time, with half of a batch each. --docs writes the
table into docs/scale.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import multiprocessing
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import torch
from torch.distributed import TCPStore

from core.config.config import ModelConfig
from core.diffusion.datasets.base import HELD_OUT, TRAIN, load_data
from core.diffusion.eval import Evaluator
from core.diffusion.sharding import ShardedEvaluation
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.ranks import Ranks, joined
from core.plugins import config_class, saved_config
from core.utils.meters import Meter
from core.utils.signals import RunInterrupted

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"<!-- ranks -->.*?(?=\n##|\Z)", re.DOTALL)
COUNTS = (1, 2, 4)
N_TIMED = 10
#: What is trained: a name, the fields of the config, and the number of steps. The first one is also evaluated.
CASES: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("`digits`", {"dataset": "digits"}, 36),
    ("`mnist5k`, patches of 2×2", {"dataset": "mnist5k", "patch_size": 2}, 13),
    ("`mnist5k`", {"dataset": "mnist5k"}, 13),
)
N_MEASURES, N_REDUCTIONS = 10, 100
MOST_S = 300.0
CPU = torch.device("cpu")
FORK = multiprocessing.get_context("fork")

Work = Callable[[Ranks], None]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="runs with each number of processes")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/scale.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # DistributedDataParallel needs it: once here, and not in every process
    with tempfile.TemporaryDirectory() as directory:
        text = table(Path(directory), arguments.rounds)
    print(text)
    if arguments.docs:
        page = ROOT / "docs/scale.md"
        page.write_text(MARK.sub(lambda _: f"<!-- ranks -->\n\n{text}\n", page.read_text(), count=1))


@contextlib.contextmanager
def store() -> Iterator[int]:
    """Keep a store in a process of its own, as torchrun does; yield its port.

    A store has a thread. In this process, the thread might hold a lock at the moment of a fork, for which the new
    process would wait forever.
    """

    def keep(pipe: Connection) -> None:
        kept = TCPStore("localhost", 0, is_master=True)
        pipe.send(kept.port)
        pipe.recv()

    here, there = FORK.Pipe()
    process = FORK.Process(target=keep, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join()


def in_processes(n: int, work: Work, *, exchange: bool = True) -> None:
    """Run ``work`` in ``n`` forked processes that are joined as under torchrun, or not joined without ``exchange``.

    Raises:
        SystemExit: A process failed, or has not ended after ``MOST_S``.
    """

    def start(rank: int, port: int) -> None:
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port), TORCHELASTIC_USE_AGENT_STORE="True")
        if n == 1 or not exchange:
            work(Ranks())
        else:
            with joined(rank, n, CPU) as ranks:
                work(ranks)

    with store() as port:
        processes = [FORK.Process(target=start, args=(rank, port), daemon=True) for rank in range(n)]
        for process in processes:
            process.start()
        deadline_s = time.monotonic() + MOST_S
        for process in processes:
            process.join(max(0.0, deadline_s - time.monotonic()))
            if process.exitcode is None:
                raise SystemExit(f"a process of {n} has not ended within {MOST_S:.0f} s")  # exit ends the others
            if process.exitcode:
                raise SystemExit(f"a process of {n} failed")


def table(directory: Path, n_rounds: int) -> str:
    """Return the table as Markdown, with ratios to one process."""
    configs = [config_class("unet")(model="unet", n_samples=0, **fields) for _, fields, _ in CASES]
    for config in configs:
        load_data(config, HELD_OUT)
    columns: list[dict[int, list[float]]] = [{n: [] for n in COUNTS} for _ in range(len(configs) + 1)]
    apart: list[list[float]] = [[] for _ in configs]
    for turn in range(n_rounds):
        for config, found, (_, _, n_steps) in zip(configs, apart, CASES, strict=True):
            half = attrs.evolve(config, batch_size=config.batch_size // 2)
            path = directory / f"apart-{config.dataset}-{config.patch_size}-{turn}"
            found.append(images_per_s(half, path, 2, n_steps, exchange=False))
        for n in COUNTS:
            paths = [directory / f"{case}-{n}-{turn}" for case in range(len(CASES))]
            for config, path, column, (_, _, n_steps) in zip(configs, paths, columns, CASES, strict=False):
                column[n].append(images_per_s(config, path, n, n_steps))
            columns[-1][n].append(samples_per_s(directory / "0-1-0", directory / f"{n}-{turn}", n))
    trained = [f"training on {name}, images/s" for name, _, _ in CASES]
    rows = [
        f"Model `unet`, batches of {configs[0].batch_size}, evaluator `denoising` on `{configs[0].dataset}`; "
        f"one thread per process, {os.cpu_count()} cores.",
        "",
        f"| processes | {' | '.join(trained)} | evaluation, images/s | reduction of {N_MEASURES} measures |",
        f"|{'---|' * (len(trained) + 3)}",
    ]
    for n in COUNTS:
        cells = [f"{max(found[n]):,.0f} ({max(found[n]) / max(found[1]):.2f} ×)" for found in columns]
        reduction = "" if n == 1 else f"{reduction_ms(directory / f'reduced-{n}', n):.2f} ms"
        rows.append(f"| {n} | {' | '.join(cells)} | {reduction} |")
        if n == 2:
            cells = [
                f"{max(one):,.0f} ({max(one) / max(found[1]):.2f} ×)"
                for one, found in zip(apart, columns, strict=False)
            ]
            rows.append(f"| 2 without exchange | {' | '.join(cells)} |  |  |")
    return "\n".join(rows)


def images_per_s(config: ModelConfig, path: Path, n: int, n_steps: int, *, exchange: bool = True) -> float:
    """Return the images per second of the fastest steps, of ``n_steps``, of a training in ``n`` processes.

    Without ``exchange``, each process trains by itself, and the slower one counts for both.
    """

    def train(ranks: Ranks) -> None:
        ends_s: list[float] = []
        own = path if exchange else path.with_name(f"{path.name}-{os.getpid()}")

        def progress(step: int, _n_steps: int, _text: str) -> None:
            ends_s.append(time.perf_counter())

        def stop() -> RunInterrupted | None:
            return RunInterrupted("timed", 1) if len(ends_s) >= n_steps else None

        with contextlib.suppress(RunInterrupted):
            train_diffusion_model(config, own, device="cpu", ranks=ranks, progress=progress, stop=stop)
        if ranks.is_first:
            # The last step of an epoch has fewer images, and writes the curve: no timed step is one.
            starts = [
                i for i in range(len(ends_s) - N_TIMED) if i % n_steps_per_epoch + N_TIMED < n_steps_per_epoch - 1
            ]
            own.with_suffix(".txt").write_text(repr(min(ends_s[i + N_TIMED] - ends_s[i] for i in starts)))

    n_steps_per_epoch = math.ceil(len(load_data(config, TRAIN)) / config.batch_size)
    in_processes(n, train, exchange=exchange)
    times_s = [float(file.read_text()) for file in path.parent.glob(f"{path.name}*.txt")]
    return N_TIMED * config.batch_size * len(times_s) / max(times_s)


def samples_per_s(trained: Path, path: Path, n: int) -> float:
    """Return the held-out images per second of the evaluator ``denoising`` in ``n`` processes."""
    shutil.copytree(trained, path)

    def evaluate(ranks: Ranks) -> None:
        evaluator = Evaluator(saved_config(path), path, evaluators=["denoising"], device="cpu")
        sharded = ShardedEvaluation(evaluator)
        ranks.wait_for_all()
        if ranks.is_first:
            (path / "start").write_text(repr(time.time()))
        sharded.measure(ranks.rank + 1, n)
        sharded.merge_if_complete(n)
        ranks.wait_for_all()
        if ranks.is_first:
            (path / "end").write_text(repr(time.time()))

    in_processes(n, evaluate)
    start_s, end_s = (float((path / name).read_text()) for name in ("start", "end"))
    return len(load_data(saved_config(path), HELD_OUT)) / (end_s - start_s)


def reduction_ms(path: Path, n: int) -> float:
    """Return the time of ``Meter.all_reduce`` in milliseconds: that which a tenth of the calls stay below.

    A call takes a fraction of a time slice of the system, so that any other load on the machine multiplies its median.
    """

    def reduce(ranks: Ranks) -> None:
        meter = Meter()
        meter.update({f"measure {index}": torch.randn(1000) for index in range(N_MEASURES)})
        times_s = []
        for _ in range(N_REDUCTIONS):
            ranks.wait_for_all()
            start_s = time.perf_counter()
            meter.all_reduce()
            times_s.append(time.perf_counter() - start_s)
        if ranks.is_first:
            path.write_text(repr(statistics.quantiles(times_s, n=10)[0]))

    in_processes(n, reduce)
    return 1000 * float(path.read_text())


if __name__ == "__main__":
    main()
