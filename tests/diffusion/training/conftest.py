"""Processes that train together, forked from the test: torch is imported once."""

import contextlib
import importlib
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import TCPStore

from core.config.config import ModelConfig
from core.diffusion.datasets.base import TRAIN, load_data
from core.diffusion.training.ranks import Ranks, joined
from core.utils.signals import RunInterrupted

Work = Callable[[Ranks], Any]
TIMEOUT = timedelta(seconds=60)
FORK = multiprocessing.get_context("fork")


def keep_store(pipe: Connection) -> None:
    store = TCPStore("localhost", 0, is_master=True)
    pipe.send(store.port)
    pipe.recv()


@contextlib.contextmanager
def store_elsewhere() -> Iterator[int]:
    """Keep a store in another process; yield its port. A fork must not find its thread holding a lock."""
    here, there = FORK.Pipe()
    process = FORK.Process(target=keep_store, args=(there,), daemon=True)
    process.start()
    yield here.recv()
    here.send("end")
    process.join()


@pytest.fixture(scope="session")
def _imported() -> None:
    """Import here what every process would import by itself: it takes longer than the tests."""
    importlib.import_module("torch._dynamo")  # DistributedDataParallel needs it
    load_data(ModelConfig(), TRAIN)


@pytest.fixture
def forked(_imported: None) -> Callable[[int, Callable[[int], int]], list[int]]:
    """Runs ``work(rank)`` in as many processes, with the environment that torchrun gives them; returns exit codes."""

    def work_in(rank: int, world_size: int, port: int, work: Callable[[int], int]) -> None:
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in numbers.items()}, MASTER_ADDR="localhost")
        os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # the store is the parent's, as it is torchrun's
        os._exit(work(rank))

    def run(world_size: int, work: Callable[[int], int]) -> list[int]:
        with store_elsewhere() as port:
            arguments = [(rank, world_size, port, work) for rank in range(world_size)]
            processes = [FORK.Process(target=work_in, args=each, daemon=True) for each in arguments]
            for process in processes:
                process.start()
            for process in processes:
                process.join(90)
                process.kill()
                process.join()
        return [int(process.exitcode or 0) for process in processes]

    return run


@pytest.fixture
def in_ranks(forked: Callable[..., list[int]], tmp_path: Path) -> Callable[[int, Work], list[str | int]]:
    """Runs ``work(ranks)`` in as many processes; returns the error of each, or its exit code where it left none."""

    def run(world_size: int, work: Work) -> list[str | int]:
        errors = [tmp_path / f"error-{rank}-of-{world_size}" for rank in range(world_size)]

        def one(rank: int) -> int:
            try:
                with joined(rank, world_size, torch.device("cpu"), TIMEOUT) as ranks:
                    work(ranks)
            except (Exception, RunInterrupted) as error:
                errors[rank].write_text(f"{type(error).__name__}: {error}")
                traceback.print_exc()
                return 1
            return 0

        codes = forked(world_size, one)
        return [path.read_text() if path.exists() else code for path, code in zip(errors, codes, strict=True)]

    return run
