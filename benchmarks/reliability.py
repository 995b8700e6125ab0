"""Make all figures of docs/reliability.md: ``make reliability``.

It injects faults at every file-system call, fuzzes every reader, runs many processes at once, cycles meters by the
million and stresses the extension under sanitizers. ``--minutes`` limits each part; the figures say how much was done.
Each part replaces its own figures only, so that the parts can be made one at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "reliability.md"
NOTES = ROOT / "build" / "reliability"  # what parts that take hours have done, so that they can be continued
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a directory in memory: an attempt leaves many small files


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the clone, and show its errors."""
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """Return whether the tests passed; show what failed."""
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
    return "all tests passed" if done.returncode == 0 else f"pytest ended with exit code {done.returncode}"


def noted(part: str) -> list[dict[str, Any]]:
    """Return the notes of a part, one for each kind of fault or each reader that has been tried."""
    return [json.loads(line) for line in (NOTES / part).read_text().splitlines()] if (NOTES / part).exists() else []


def sum_of_minutes(rows: list[dict[str, Any]]) -> str:
    """Say how long the rows of a table took."""
    return f"The rows took {sum(row['wall_s'] for row in rows) / 60:.0f} minutes together."


def faults(minutes: float, n_jobs: int) -> list[str]:
    """Try the points at which a process is killed or a call fails."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        done = run(
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/faults"),
            *("-n", str(n_jobs), "--basetemp", f"{scratch}/runs"),
            PYML_FAULTS="all",
            PYML_FAULTS_SECONDS=f"{60 * minutes * n_jobs / 24:.0f}",  # for each of eight kinds of three programs
            PYML_FAULTS_LOG=str(NOTES / "faults"),
        )
    newest = {(row["program"], row["kind"]): row for row in noted("faults")}
    rows = sorted(newest.values(), key=lambda row: (str(row["program"]), str(row["kind"])))
    lines = ["| program | kind of fault | points tried | of |", "|---|---|---:|---:|"]
    lines += [f"| {row['program']} | {row['kind']} | {row['tried']:,} | {row['points']:,} |" for row in rows]
    tried, points = (sum(row[name] for row in rows) for name in ("tried", "points"))
    head = f"Fault injection: {tried:,} of {points:,} points tried; {outcome(done)}. {sum_of_minutes(rows)}"
    return [head, "", *lines]


def fuzz(minutes: float, n_jobs: int) -> list[str]:
    """Fuzz every reader."""
    limits = ("--cases", "1000000", "--seconds", f"{60 * minutes * n_jobs / 12:.0f}", "--jobs", str(n_jobs))
    done = run(sys.executable, "tests/fuzz/run.py", *limits, "--log", str(NOTES / "fuzz"))
    print(done.stderr[-3000:], file=sys.stderr)
    rows = list({row["reader"]: row for row in noted("fuzz")}.values())
    lines = ["| reader | cases | undocumented errors | slowest case (s) |", "|---|---:|---:|---:|"]
    lines += [f"| {row['reader']} | {row['cases']:,} | {row['bad']} | {row['slowest_s']:.2f} |" for row in rows]
    return [f"Fuzzing: {sum(row['cases'] for row in rows):,} changed files. {sum_of_minutes(rows)}", "", *lines]


def concurrency(minutes: float, _n_jobs: int) -> list[str]:
    """Run many processes at once."""
    n_runs = min(10_000, int(400 * minutes))
    variables = {"PYML_RELIABILITY": "all", "PYML_RELIABILITY_RUNS": str(n_runs)}
    done = run(sys.executable, "-m", "pytest", "-q", "tests/concurrency", **variables)
    return [
        f"Concurrency: 64 starts, 16 × 200 appends beside two readers, {n_runs:,} runs written by four processes while "
        f"they are read, 500 checkpoints replaced while they are read, 16 resumes without locks; {outcome(done)}."
    ]


def cycles(minutes: float, n_jobs: int) -> list[str]:
    """Cycle meters with each engine."""

    def cycle(engine: str) -> None:
        done = run(sys.executable, "tests/extension/stress.py", "1000000", f"{30 * minutes * n_jobs:.0f}", engine)
        print(done.stderr[-3000:], file=sys.stderr)
        row = json.loads(done.stdout or "{}") | {"engine": engine, "exit_code": done.returncode}
        with (NOTES / "cycles").open("a") as file:
            file.write(json.dumps(row) + "\n")

    tried = {row["engine"] for row in noted("cycles")}
    with ThreadPoolExecutor(n_jobs) as pool:
        list(pool.map(cycle, [engine for engine in ("c++", "python") if engine not in tried]))
    rows = [row for row in noted("cycles") if "cycles" in row]
    told = [f"{row['cycles']:,} with the {row['engine']} engine (memory {row['grown_kb']:+,} KiB)" for row in rows]
    codes = " and ".join(str(row["exit_code"]) for row in noted("cycles"))
    what = "Cycles of create, update, pickle and merge, every tenth with pairs, states, resets and refused updates too"
    return [f"{what}: {'; '.join(told)}. Exit codes {codes}."]


def sanitizers(_minutes: float, _n_jobs: int) -> list[str]:
    """Stress the extension under ASan with UBSan, and under TSan."""
    done = run("sh", "tests/extension/sanitize.sh", sys.executable, "2000")
    named = re.findall(r"sanitizer: (\S+)", done.stdout)
    rows = [json.loads(line)["cycles"] for line in done.stdout.splitlines() if line.startswith("{")]
    told = "; ".join(f"{name}: {n:,} cycles" for name, n in zip(named, rows, strict=False))
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
    return [f"Extension through Python under sanitizers: {told}. Exit code {done.returncode}."]


PARTS = {
    "faults": faults,
    "fuzz": fuzz,
    "concurrency": concurrency,
    "cycles": cycles,
    "sanitizers": sanitizers,
}


def write(part: str, lines: list[str]) -> None:
    """Put the figures of one part in the place of its former ones; the other parts keep theirs."""
    begin, end = f"<!-- {part}: written by make reliability -->", f"<!-- end of {part} -->"
    before, rest = DOCS.read_text().split(begin)
    after = rest.split(end)[1]
    DOCS.write_text("\n".join([f"{before}{begin}", "", *lines, "", f"{end}{after}"]))


def main() -> None:
    """Run the parts, and write the figures of each into the docs when it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0, help="time limit for each part")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes that work at the same time")
    parser.add_argument("--continue", action="store_true", dest="goes_on", help="keep what an interrupted run has done")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    given = parser.parse_args()
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} CPUs"
    for name in given.parts or PARTS:
        print(name, file=sys.stderr, flush=True)
        NOTES.mkdir(parents=True, exist_ok=True)
        if not given.goes_on:
            (NOTES / name).unlink(missing_ok=True)
        start_s = time.monotonic()
        lines = PARTS[name](given.minutes, given.jobs)
        if not (NOTES / name).exists():
            lines[-1] += f" It took {(time.monotonic() - start_s) / 60:.0f} minutes."
        lines += ["", f"Made on {datetime.now(UTC):%Y-%m-%d} on {where}."]
        print("\n".join(lines), file=sys.stderr, flush=True)
        write(name, lines)


if __name__ == "__main__":
    main()
