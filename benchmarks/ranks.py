"""Time training and evaluation in 1, 2 and 4 processes of one thread each, and the reduction of an epoch's measures.

    python benchmarks/ranks.py [--model unet] [--epochs 3] [--docs]

Training is timed as images per second of whole epochs, from the training curve; the first epoch warms up. Evaluation is
timed from the moment when all processes have imported torch until the results are merged. Runs with different numbers
of processes take turns. The fastest epoch and evaluation count, because other load on the machine only adds time.
--docs writes the table into docs/scale.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.distributed import TCPStore

from core.config.config import ModelConfig
from core.diffusion.datasets.base import HELD_OUT, load_data
from core.diffusion.eval import Evaluator
from core.diffusion.sharding import ShardedEvaluation
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.ranks import Ranks, joined
from core.plugins import config_class, saved_config
from core.utils.meters import Meter

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"<!-- ranks -->.*?(?=\n##|\Z)", re.DOTALL)
COUNTS = (1, 2, 4)
N_MEASURES, N_REDUCTIONS = 10, 100
CPU = torch.device("cpu")

Work = Callable[[Ranks], None]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unet")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of each run, the first of which is not timed")
    parser.add_argument("--rounds", type=int, default=2, help="runs with each number of processes")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/scale.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # DistributedDataParallel needs it: once here, and not in every process
    load_data(ModelConfig(), HELD_OUT)
    config = config_class(arguments.model)(model=arguments.model, n_epochs=arguments.epochs, n_samples=0)
    with tempfile.TemporaryDirectory() as directory:
        text = table(config, Path(directory), arguments.rounds)
    print(text)
    if arguments.docs:
        page = ROOT / "docs/scale.md"
        page.write_text(MARK.sub(lambda _: f"<!-- ranks -->\n\n{text}\n", page.read_text(), count=1))


def in_processes(n: int, work: Work) -> None:
    """Run ``work`` in ``n`` forked processes that are joined as under torchrun."""
    store = TCPStore("localhost", 0, is_master=True)

    def start(rank: int) -> None:
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(store.port), TORCHELASTIC_USE_AGENT_STORE="True")
        if n == 1:
            work(Ranks())
        else:
            with joined(rank, n, CPU) as ranks:
                work(ranks)

    processes = [multiprocessing.get_context("fork").Process(target=start, args=(rank,)) for rank in range(n)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a process of {n} failed")


def table(config: ModelConfig, directory: Path, n_rounds: int) -> str:
    """Return the table as Markdown, with ratios to one process."""
    trained: dict[int, list[float]] = {n: [] for n in COUNTS}
    evaluated: dict[int, list[float]] = {n: [] for n in COUNTS}
    for turn in range(n_rounds):
        for n in COUNTS:
            path = directory / f"{n}-{turn}"
            trained[n] += images_per_s(config, path, n)
            evaluated[n].append(samples_per_s(directory / "1-0", directory / f"evaluated-{n}-{turn}", n))
    rows = [
        f"Model `{config.model}`, batches of {config.batch_size}, evaluator `denoising`; one thread per process, "
        f"{os.cpu_count()} cores.",
        "",
        f"| processes | training, images/s | evaluation, images/s | reduction of {N_MEASURES} measures |",
        "|---|---|---|---|",
    ]
    for n in COUNTS:
        cells = [f"{max(found[n]):,.0f} ({max(found[n]) / max(found[1]):.2f} ×)" for found in (trained, evaluated)]
        reduction = "" if n == 1 else f"{reduction_ms(directory / f'reduced-{n}', n):.2f} ms"
        rows.append(f"| {n} | {' | '.join(cells)} | {reduction} |")
    return "\n".join(rows)


def images_per_s(config: ModelConfig, path: Path, n: int) -> list[float]:
    """Return the images per second of each epoch after the first, trained in ``n`` processes."""
    in_processes(n, lambda ranks: train_diffusion_model(config, path, device="cpu", ranks=ranks))
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [line["images_per_s"] for line in lines if "images_per_s" in line][1:]


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
