"""Time the start of the command line, next to the import of its libraries alone: whole processes, interleaved.

Usage: python benchmarks/startup.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

FLOOR = [sys.executable, "-c", "import click, importlib.metadata"]
COMMANDS = {
    "python -c 'import click, importlib.metadata'": FLOOR,
    "python -m core --help": [sys.executable, "-m", "core", "--help"],
    "python -m core train --help": [sys.executable, "-m", "core", "train", "--help"],
    "python -m core runs --help": [sys.executable, "-m", "core", "runs", "--help"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main(rounds: int) -> None:
    for command in COMMANDS.values():
        seconds(command)  # fills the file cache and compiles the bytecode
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    floor = statistics.median(times[next(iter(COMMANDS))])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<48} {median * 1e3:7.1f} ms  {median / floor:5.2f} times the floor")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
