"""A process that is killed, or whose disk fails, at any moment loses no result that it reported and tears none.

By default every few points of each kind are tried; ``PYML_FAULTS=all`` (``make faults``) tries every point.
"""

import json
import os
import random
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import Server

from core.runs.directory import run_ids
from core.runs.fast_results import read_results
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log
from core.runs.status import STATES, run_status
from results.database import ResultsDatabase

KINDS = ["kill-before", "kill-middle", "kill-after", "enospc", "eio", "short", "sigint", "sigterm"]
ALL = os.environ.get("PYML_FAULTS") == "all"


def points(name: str, kind: str, n_calls: int, most: int) -> Iterator[int]:
    """Yield the calls to hit: at most ``most``, or all of them within the time that there is; note how many were tried.

    The order is random, with a fixed seed, so that a part of them is spread over the program. Nothing is yielded if all
    were tried before, as the notes say.
    """
    log = Path(os.environ.get("PYML_FAULTS_LOG", os.devnull))
    if any(row.items() >= {"program": name, "kind": kind, "tried": n_calls}.items() for row in noted(log)):
        return
    order = list(range(1, n_calls + 1))
    random.Random(f"{name} {kind}").shuffle(order)
    start_s, most_s = time.monotonic(), float(os.environ.get("PYML_FAULTS_SECONDS", "inf"))
    tried = 0
    for at in order if ALL else order[:most]:
        if ALL and time.monotonic() - start_s > most_s:
            break
        yield at
        tried += 1
    row = {"program": name, "kind": kind, "points": n_calls, "tried": tried, "wall_s": time.monotonic() - start_s}
    with log.open("a") as file:
        file.write(json.dumps(row) + "\n")


def noted(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def reported(out: str) -> set[str]:
    """Return the names of the results that a program printed as logged."""
    return set(re.findall(r"^([\w/.]+): \S+ ± ", out, re.MULTILINE)) | set(
        re.findall(r"^([\w/.]+): [^\n]*\(n = ", out, re.MULTILINE)
    )


def check_that_nothing_reported_is_lost(directory: Path, out: str) -> None:
    readable: set[str] = set()
    for run_id in run_ids(directory):
        run_path = directory / run_id
        log = read_result_log(run_path)
        readable |= {entry.record.metadata.name for entry in log.entries}
        fast = read_results(run_path)
        assert set(fast.measures) == {record.metadata for record in log.newest()}
        read_curve(run_path)
        assert run_status(run_path).state in STATES
    assert reported(out) <= readable
    assert len(ResultsDatabase(directory).read()) == len(run_ids(directory))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_ones_own_loses_no_reported_result(server: Server, tmp_path: Path, kind: str) -> None:
    n_calls = server.count("own_loop.py", tmp_path / "whole")
    assert n_calls > 30
    for at in points("own loop", kind, n_calls, 6):
        directory = tmp_path / f"{kind}-{at}"
        ended = server.run("own_loop.py", directory, kind, at)
        assert "Traceback" not in ended.out
        check_that_nothing_reported_is_lost(directory, ended.out)
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    directory = tmp_path_factory.mktemp("whole")
    return directory, server.count("train_and_evaluate.py", directory)


def weights(directory: Path) -> dict[str, torch.Tensor]:
    """Return the weights of all checkpoints of the newest run that has a last one: best, last, and a kept one."""
    last = sorted(directory.glob("*/checkpoints/last.pt"))[-1]
    paths = sorted(last.parent.glob("*.pt"))
    assert [path.name.partition("-")[0] for path in paths] == ["best.pt", "last.pt", "step"]
    loaded = {path.name: torch.load(path, weights_only=True)["weights"] for path in paths}
    return {f"{name} {part}": value for name, state in loaded.items() for part, value in state.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_to_the_same_bits(server: Server, tmp_path: Path, whole: tuple[Path, int], kind: str) -> None:
    directory, n_calls = whole
    expected = weights(directory)
    assert n_calls > 60
    for at in points("train, resume, evaluate", kind, n_calls, 1):
        place = tmp_path / f"{kind}-{at}"
        ended = server.run("train_and_evaluate.py", place, kind, at)
        check_that_nothing_reported_is_lost(place, ended.out)
        again = server.run("train_and_evaluate.py", place)
        assert again.code == 0, (kind, at, again.err)
        state = weights(place)
        assert all(torch.equal(state[name], expected[name]) for name in expected), (kind, at)
        check_that_nothing_reported_is_lost(place, again.out)
        shutil.rmtree(place)


@pytest.mark.parametrize("kind", KINDS if ALL else ["kill-middle", "enospc"])
def test_a_sweep_goes_on_where_it_was_cut_short(server: Server, tmp_path: Path, kind: str) -> None:
    n_calls = server.count("sweep_two.py", tmp_path / "whole")
    assert n_calls > 60
    for at in points("sweep", kind, n_calls, 2):
        place = tmp_path / f"{kind}-{at}"
        ended = server.run("sweep_two.py", place, kind, at)
        check_that_nothing_reported_is_lost(place, ended.out)
        again = server.run("sweep_two.py", place)
        assert again.code == 0, (kind, at, again.err, again.out)
        check_that_nothing_reported_is_lost(place, again.out)
        states = [run_status(place / run_id).state for run_id in run_ids(place)]
        assert states.count("finished") >= 2, (kind, at, states, again.out)
        shutil.rmtree(place)


def test_the_shim_hits_the_call_that_it_is_asked_to(server: Server, tmp_path: Path) -> None:
    n_calls = server.count("own_loop.py", tmp_path / "whole")
    assert server.run("own_loop.py", tmp_path / "first", "kill-before", 1).code == -9
    assert server.run("own_loop.py", tmp_path / "last", "kill-after", n_calls).code == -9
    assert server.run("own_loop.py", tmp_path / "beyond", "kill-after", n_calls + 1).code == 0
    assert server.run("own_loop.py", tmp_path / "full", "enospc", 3).code == 1
