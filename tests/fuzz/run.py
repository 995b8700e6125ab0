"""Fuzz every reader for a while: ``python tests/fuzz/run.py --cases 1000000 --seconds 600``; ``make fuzz`` does.

A case that raises an undocumented error, or takes more than 10 s, is written to tests/data/damaged, where the tests try
it again for ever. Memory beyond 4 GiB is refused by the system and ends as MemoryError, which no reader documents.
"""

from __future__ import annotations

import argparse
import functools
import gc
import hashlib
import json
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from mutation import mutated
from readers import DATA, read_content, readers

MOST_S = 10
MOST_BYTES = 4 << 30


def fuzz(name: str, n_cases: int, most_s: float, seed: int) -> dict[str, Any]:
    """Try changes of one reader's files until all cases or the time are used."""
    reader, pick, n_bad, n = readers()[name], random.Random(seed), 0, 0
    gc.freeze()  # what has been imported is never collected
    slowest_s, begin_s, places = 0.0, time.monotonic(), set[str]()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        while n < n_cases and time.monotonic() - begin_s < most_s:
            content = mutated(pick.choice(reader.seeds), pick)
            n += 1
            start_s = time.perf_counter()
            signal.alarm(MOST_S)
            try:
                read_content(reader, content, Path(directory))
            except BaseException as error:
                signal.alarm(0)
                if isinstance(error, KeyboardInterrupt):
                    raise
                n_bad += 1
                if (place := place_of(error)) not in places:
                    places.add(place)
                    print(f"{name}: {place}: {error}: kept as {keep(name, content)}", file=sys.stderr, flush=True)
            signal.alarm(0)
            slowest_s = max(slowest_s, time.perf_counter() - start_s)
    wall_s = round(time.monotonic() - begin_s)
    return {"reader": name, "cases": n, "bad": n_bad, "slowest_s": round(slowest_s, 3), "wall_s": wall_s}


def place_of(error: BaseException) -> str:
    """Return the type of an error and where it was raised: one file is kept for each such place."""
    raised = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {raised.filename}:{raised.lineno}"


def keep(name: str, content: bytes) -> Path:
    """Keep a file for the tests, and return its path."""
    path = DATA / "damaged" / name.replace(" ", "-") / hashlib.sha256(content).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read_lines(path: Path | None) -> list[str]:
    """Return the lines of a file; of no file, none."""
    return path.read_text().splitlines() if path and path.exists() else []


def too_slow(_number: int, _frame: object) -> None:
    raise TimeoutError(f"more than {MOST_S} s")


def main() -> None:
    """Fuzz the readers and print a JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="the most for one reader")
    parser.add_argument("--jobs", type=int, default=1, help="readers at the same time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="file that receives the lines; readers in it are left out")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, too_slow)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, resource.RLIM_INFINITY))
    tried = {json.loads(line)["reader"] for line in read_lines(given.log)}
    n_bad, work = 0, functools.partial(fuzz, n_cases=given.cases, most_s=given.seconds, seed=given.seed)
    with multiprocessing.get_context("fork").Pool(given.jobs, maxtasksperchild=1) as pool:
        for found in pool.imap(work, [name for name in given.names or readers() if name not in tried]):
            print(json.dumps(found), flush=True)
            if given.log:
                with given.log.open("a") as file:
                    file.write(json.dumps(found) + "\n")
            n_bad += found["bad"]
    sys.exit(n_bad > 0)


if __name__ == "__main__":
    main()
