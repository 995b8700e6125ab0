"""Make all figures of docs/reliability.md: ``make reliability``.

It injects faults at every file-system call, fuzzes every reader, runs many processes at once, cycles meters by the
million and stresses the extension under sanitizers. ``--minutes`` limits each part; the figures say how much was done.
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
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: written by make reliability -->", "<!-- end of figures -->"


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the clone, and show its errors."""
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """Return whether the tests passed; show what failed."""
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
    return "all tests passed" if done.returncode == 0 else f"pytest ended with exit code {done.returncode}"


def faults(minutes: float) -> list[str]:
    """Try the points at which a process is killed or a call fails."""
    with tempfile.NamedTemporaryFile() as log:
        each = f"{60 * minutes / 24:.0f}"  # eight kinds of three programs
        done = run(
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/faults"),
            **{"PYML_FAULTS": "all", "PYML_FAULTS_SECONDS": each, "PYML_FAULTS_LOG": log.name},
        )
        rows = [json.loads(line) for line in Path(log.name).read_text().splitlines()]
    lines = ["| program | kind of fault | points tried | of |", "|---|---|---:|---:|"]
    lines += [f"| {row['program']} | {row['kind']} | {row['tried']:,} | {row['points']:,} |" for row in rows]
    tried = sum(row["tried"] for row in rows)
    return [f"Fault injection: {tried:,} points tried; {outcome(done)}.", "", *lines]


def fuzz(minutes: float) -> list[str]:
    """Fuzz every reader."""
    done = run(sys.executable, "tests/fuzz/run.py", "--cases", "1000000", "--seconds", f"{60 * minutes / 12:.0f}")
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    lines = ["| reader | cases | undocumented errors | slowest case (s) |", "|---|---:|---:|---:|"]
    lines += [f"| {row['reader']} | {row['cases']:,} | {row['bad']} | {row['slowest_s']:.2f} |" for row in rows]
    return [f"Fuzzing: {sum(row['cases'] for row in rows):,} changed files.", "", *lines]


def concurrency(minutes: float) -> list[str]:
    """Run many processes at once."""
    n_runs = min(10_000, int(400 * minutes))
    variables = {"PYML_RELIABILITY": "all", "PYML_RELIABILITY_RUNS": str(n_runs)}
    done = run(sys.executable, "-m", "pytest", "-q", "tests/concurrency", **variables)
    return [
        f"Concurrency: 64 starts, 16 × 200 appends beside two readers, {n_runs:,} runs written by four processes while "
        f"they are read, 500 checkpoints replaced while they are read, 16 resumes without locks; {outcome(done)}."
    ]


def cycles(minutes: float) -> list[str]:
    """Cycle meters with each engine."""
    done = run(sys.executable, "tests/extension/stress.py", "1000000", f"{30 * minutes:.0f}")
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    told = [f"{row['cycles']:,} with the {row['engine']} engine (memory {row['grown_kb']:+,} KiB)" for row in rows]
    return [f"Cycles of create, update, merge, pickle and read: {'; '.join(told)}. Exit code {done.returncode}."]


def sanitizers(_minutes: float) -> list[str]:
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


def main() -> None:
    """Run the parts and write their figures into the docs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="time limit for each part")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    given = parser.parse_args()
    found: list[str] = []
    for name in given.parts or PARTS:
        print(name, file=sys.stderr, flush=True)
        found += [*PARTS[name](given.minutes), ""]
        print("\n".join(found[-8:]), file=sys.stderr, flush=True)
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} CPUs"
    head = f"Made on {datetime.now(UTC):%Y-%m-%d} on {where}, at most {given.minutes:g} minutes for each part."
    content = DOCS.read_text()
    before, after = content.split(BEGIN)[0], content.split(END)[1]
    DOCS.write_text(f"{before}{BEGIN}\n\n{head}\n\n" + "\n".join(found) + f"{END}{after}")


if __name__ == "__main__":
    main()
