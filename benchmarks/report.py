"""The benchmark's results as a table, as JSON and as a plot."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from timing import Candidate, Times

FLOOR = "floor"
NOISE = 0.03  # relative error that a median of ratios can have
PACKAGES = ("numpy", "torch", "torchmetrics", "torcheval", "river", "boost-histogram", "xsum")


@dataclass(frozen=True)
class Bound:
    """The longest time allowed for a candidate, in seconds per call or as a multiple of the floor.

    For a multiple of the floor, the floor must be the first candidate.
    """

    limit: float
    stretch: float | None = None
    of_floor: bool = True

    def taken(self, name: str, times: Times) -> float:
        """Return the time that a candidate took, in the unit of the bound."""
        return times.of_first[name] if self.of_floor else times.seconds[name]

    def verdict(self, name: str, times: Times) -> str:
        """Return whether a candidate met the bound, as text."""
        taken = self.taken(name, times)
        if self.stretch is not None and taken <= self.stretch:
            return "meets the stretch"
        return "meets" if taken <= self.limit else "MISSES"

    def text(self, amount: float | None) -> str:
        """Format an amount in the unit of the bound."""
        if amount is None:
            return ""
        return f"{amount:.3g}× the floor" if self.of_floor else duration(amount)


@dataclass(frozen=True)
class Work:
    """Work on ``size`` values that is timed for several candidates."""

    title: str
    size: int
    candidates: Sequence[Candidate] = field(repr=False)
    bounds: dict[str, Bound]


@dataclass(frozen=True)
class Result:
    """The times of the candidates."""

    title: str
    size: int
    times: Times
    bounds: dict[str, Bound]


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(result: Result) -> str:
    """Return the result as a Markdown table for docs/benchmarks.md."""
    lines = [f"\n### {result.title}\n", "| | a call | a value | of the floor |", "|---|---|---|---|"]
    for name, seconds in result.times.seconds.items():
        each = f"{seconds / result.size * 1e9:.3f} ns" if result.size > 1 else ""
        ratio = f"{result.times.of_first[name]:.2f}×" if FLOOR in result.times.seconds else ""
        lines.append(f"| {name} | {duration(seconds)} | {each} | {ratio} |")
    return "\n".join(lines)


def verdicts(results: Sequence[Result]) -> str:
    """Return a Markdown table of the bounds and the measured times."""
    lines = ["\n### Bounds\n", "| work | by | at most | stretch | taken | verdict |", "|---|---|---|---|---|---|"]
    for result in results:
        for name, bound in result.bounds.items():
            if name not in result.times.seconds:
                continue  # this processor does not have the level
            taken = bound.text(bound.taken(name, result.times))
            verdict = bound.verdict(name, result.times)
            cells = (result.title, name, bound.text(bound.limit), bound.text(bound.stretch), taken, verdict)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def false_floors(results: Sequence[Result]) -> list[str]:
    """Return a message for each candidate that was faster than its floor by more than the noise."""
    return [
        f"{result.title}: {name} took {ratio:.2f} times the floor"
        for result in results
        if FLOOR in result.times.seconds
        for name, ratio in result.times.of_first.items()
        if ratio < 1 - NOISE
    ]


def machine() -> dict[str, str]:
    """Return the processor and the package versions, on which the numbers depend."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"processor": processor, "python": platform.python_version(), **versions}


def write_docs(tables: str) -> None:
    """Replace the tables of the section "A run" of docs/benchmarks.md by those of this run."""
    path = Path(__file__).parents[1] / "docs" / "benchmarks.md"
    explanation, heading, rest = path.read_text().partition("## A run\n")
    _, next_heading, others = rest.partition("\n## ")
    on = ", ".join(f"{name} {version}" for name, version in machine().items())
    path.write_text(f"{explanation}{heading}\n{on.removeprefix('processor ')}.\n{tables}\n{next_heading}{others}")


def as_json(results: Sequence[Result]) -> str:
    rows = [
        {
            "work": result.title,
            "values": result.size,
            "seconds_per_call": result.times.seconds,
            "of_the_floor": result.times.of_first if FLOOR in result.times.seconds else None,
            "verdicts": {
                name: bound.verdict(name, result.times)
                for name, bound in result.bounds.items()
                if name in result.times.seconds
            },
        }
        for result in results
    ]
    return json.dumps({"machine": machine(), "results": rows}, indent=1) + "\n"


def plot(results: Sequence[Result], path: Path) -> None:
    """Draw one panel per work, with a bar per candidate on a logarithmic axis; ours are coloured."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = 3
    rows = -(-len(results) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(6.2 * columns, 3.1 * rows), layout="constrained")
    for axis in axes.flat[len(results) :]:
        axis.axis("off")
    for axis, result in zip(axes.flat, results, strict=False):
        names = list(result.times.seconds)[::-1]
        times = [result.times.seconds[name] for name in names]
        colours = ["C0" if name.startswith("pyml") else "0.2" if name == FLOOR else "0.7" for name in names]
        bars = axis.barh(names, times, color=colours)
        axis.bar_label(bars, [duration(time) for time in times], padding=3, fontsize=8)
        axis.set_xscale("log")
        axis.set_xlim(min(times) / 3, max(times) * 8)
        axis.set_title(result.title, fontsize=10)
        axis.set_xlabel("seconds a call")
    figure.savefig(path, dpi=110)
    plt.close(figure)
